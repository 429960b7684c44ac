"""The index of what is pending."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agentd.pending import index as pending_index
from agentd.pending.file import header_of
from agentd.pending.index import Index
from agentd.ports.work import Counts
from tests.builders import address, inbound, outbound


def test_turns_come_in_id_order_however_they_were_put() -> None:
    turns = [header_of(inbound()).turn() for _ in range(200)]
    shuffled = random.Random(0).sample(turns, len(turns))
    index = Index({turn.id: turn for turn in shuffled[:50]})
    for turn in shuffled[50:]:
        index.put(turn)
    assert list(index) == turns
    for turn in shuffled[:150]:
        index.remove(turn.id)
    index.remove("unknown")
    assert [turn.id for turn in index] == sorted(turn.id for turn in shuffled[150:])
    assert shuffled[0].id not in index


@pytest.mark.parametrize("recovered", [True, False])
def test_questions_and_answers_are_found_by_all_that_they_are_known_by(recovered: bool) -> None:
    asked, other = inbound(address=address(channel="a")), inbound(address=address(channel="b"))
    answer = outbound(inbound(address=address(channel="b")))
    turns = [header_of(event).turn() for event in (asked, other, answer)]
    index = Index({turn.id: turn for turn in turns} if recovered else {})
    for turn in turns:
        index.put(turn)
    first, second, third = turns
    assert index.unanswered(None) == [first, second] and index.undelivered(None) == [third]
    assert index.unanswered(["b"]) == [second] and index.undelivered(["a"]) == []
    assert index.oldest(2) == [first, second]
    assert (index.find(asked.id), index.find(answer.turn_id), index.find(answer.id)) == (first, third, third)
    assert (index.by_key(asked.dedupe_key), index.by_key("")) == (first, None)
    assert index.counts() == Counts(unanswered=2, undelivered=1)
    index.put(replied := header_of(outbound(asked)).turn())
    assert index.by_key(asked.dedupe_key) is None and index.counts() == Counts(unanswered=1, undelivered=2)
    index.note(noted := replace(replied, sending=True))
    assert index.find(replied.outbound_id) == noted
    for turn in turns:
        index.remove(turn.id)
    assert index.find(replied.outbound_id) is None and index.counts() == Counts(unanswered=0, undelivered=0)


def test_only_so_many_bodies_are_kept_and_no_long_ones() -> None:
    index = Index({})
    events = [inbound() for _ in range(pending_index.BODIES + 1)]
    for event in events:
        index.put(header_of(event).turn(), event)
    assert index.body(events[0].id) is None
    assert index.body(events[-1].id) == events[-1]
    long = inbound("x" * (pending_index.LONGEST_BODY + 1))
    index.put(header_of(long).turn(), long)
    assert index.body(long.id) is None


def test_a_body_goes_with_its_turn() -> None:
    index, event = Index({}), inbound()
    index.put(header_of(event).turn(), event)
    index.put(header_of(event).turn())
    assert index.body(event.id) is None
    index.put(header_of(event).turn(), event)
    index.remove(event.id)
    assert index.body(event.id) is None
