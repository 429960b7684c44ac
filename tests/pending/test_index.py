"""The index of what is pending."""

from __future__ import annotations

import random

from agentd.pending import index as pending_index
from agentd.pending.file import header_of
from agentd.pending.index import Index
from tests.builders import inbound


def test_entries_come_in_id_order_however_they_were_put() -> None:
    entries = [header_of(inbound()).entry() for _ in range(200)]
    shuffled = random.Random(0).sample(entries, len(entries))
    index = Index({entry.id: entry for entry in shuffled[:50]})
    for entry in shuffled[50:]:
        index.put(entry)
    assert list(index.values()) == entries
    for entry in shuffled[:150]:
        index.remove(entry.id)
    index.remove("unknown")
    assert list(index) == sorted(entry.id for entry in shuffled[150:])
    assert len(index) == 50
    assert shuffled[0].id not in index


def test_entries_may_be_removed_while_they_are_looked_at() -> None:
    entries = [header_of(inbound()).entry() for _ in range(3)]
    index = Index({entry.id: entry for entry in entries})
    for name in index:
        index.remove(name)
    assert not index


def test_only_so_many_bodies_are_kept_and_no_long_ones() -> None:
    index = Index({})
    events = [inbound() for _ in range(pending_index.BODIES + 1)]
    for event in events:
        index.put(header_of(event).entry(), event)
    assert index.body(events[0].id) is None
    assert index.body(events[-1].id) == events[-1]
    long = inbound("x" * (pending_index.LONGEST_BODY + 1))
    index.put(header_of(long).entry(), long)
    assert index.body(long.id) is None


def test_a_body_goes_with_its_entry() -> None:
    index, event = Index({}), inbound()
    index.put(header_of(event).entry(), event)
    index.put(header_of(event).entry())
    assert index.body(event.id) is None
    index.put(header_of(event).entry(), event)
    index.remove(event.id)
    assert index.body(event.id) is None
