"""How turns ended is known, byte for byte, and for long enough."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import timedelta

import pytest

from agentd.events import encode
from agentd.records import OWNER
from agentd.storage.store import Store
from agentd.storage.turns import TURNS_KEPT
from agentd.testing.clock import FakeClock
from tests.storage.kept import BAD_VALUES, PLACE, Kept, answered, asked, spoil, talk


async def test_finishing_twice_is_the_same_as_once(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    first = answered(inbound, text="first")
    await sessions.turns.finish([inbound], first)
    await sessions.turns.finish([inbound], first)
    await sessions.turns.finish([inbound], answered(inbound, text="second"))
    assert [line.text for line in await sessions.history(OWNER, session.id)] == [inbound.text, "first"]
    assert await sessions.turns.finished(inbound.turn_id) == first


async def test_a_turn_that_hands_calls_back_leaves_nothing_in_the_history(sessions: Kept) -> None:
    """The turn that brings their results has the question again."""
    session = await sessions.open(OWNER, None)
    called, inbound = asked(session.id), asked(session.id)
    handed_back = answered(called, text="Let me look.", outcome="calls")
    await sessions.turns.finish([called], handed_back)
    await sessions.turns.finish([inbound], answered(inbound, text="It rains."))
    assert await sessions.turns.finished(called.turn_id) == handed_back
    assert [line.text for line in await sessions.history(OWNER, session.id)] == [inbound.text, "It rains."]


async def test_what_was_finished_comes_back_byte_for_byte(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound, text='\x00 "quotes" \n\u2028 \U0001f600 ' + "long " * 50_000)
    assert await sessions.turns.finished(inbound.turn_id) is None
    await sessions.turns.finish([inbound], outbound)
    stored = await sessions.turns.finished(inbound.turn_id)
    assert stored is not None
    assert encode(stored) == encode(outbound)
    assert (await sessions.history(OWNER, session.id))[-1].text == outbound.text


async def test_what_a_later_agentd_added_to_an_answer_and_to_a_source_is_passed_over(
    sessions: Kept, store: Store
) -> None:
    session_id = await talk(sessions, OWNER)
    question = (await sessions.history(OWNER, session_id))[0]
    stored = await sessions.turns.finished(question.turn_id)
    places = json.dumps([{**PLACE.model_dump(), "page": 7}])

    def grow(db: sqlite3.Connection) -> int:
        db.execute("UPDATE turns SET outbound_json = json_set(outbound_json, '$.mood', 'good', '$.address.floor', 3)")
        return db.execute("UPDATE messages SET citations = ? WHERE role = 'assistant'", (places,)).rowcount

    await store.write(grow)
    assert stored is not None and await sessions.turns.finished(question.turn_id) == stored
    assert (await sessions.history(OWNER, session_id))[1].citations == (PLACE,)


@pytest.mark.parametrize("path", ["$.text", "$.address.chat", "$.type"])
async def test_an_answer_that_does_not_fit_is_none_and_the_log_says_why(
    sessions: Kept, store: Store, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = await talk(sessions, OWNER)
    turn_id = (await sessions.history(OWNER, session_id))[0].turn_id
    query = "UPDATE turns SET outbound_json = json_remove(outbound_json, ?)"
    await store.write(lambda db: db.execute(query, (path,)).rowcount)
    assert await sessions.turns.finished(turn_id) is None
    assert turn_id in caplog.text and "damaged" in caplog.text


async def test_a_finished_turn_is_found_by_its_dedupe_key(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id, key="k1")
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    found = await sessions.turns.by_dedupe_key("k1")
    assert found is not None
    assert (found.turn_id, found.session_id) == (inbound.turn_id, session.id)
    assert (found.content_digest, found.outbound) == (inbound.content_digest, outbound)
    assert await sessions.turns.by_dedupe_key("k2") is None


async def test_several_messages_can_be_answered_together(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    first, second = asked(session.id, "one"), asked(session.id, "two")
    outbound = answered(first, second, text="both")
    await sessions.turns.finish([first, second], outbound)
    assert [line.text for line in await sessions.history(OWNER, session.id)] == ["one", "two", "both"]
    assert await sessions.turns.finished(first.turn_id) == await sessions.turns.finished(second.turn_id) == outbound


@pytest.mark.parametrize("kind", ["command", "decision"])
async def test_commands_and_decisions_end_their_turn_and_leave_no_history(sessions: Kept, kind: str) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id, "/status", kind=kind)
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    assert await sessions.history(OWNER, session.id) == []
    assert await sessions.turns.finished(inbound.turn_id) == outbound


async def test_a_finish_that_fails_leaves_nothing(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    first, second = asked(session.id, key="same"), asked(session.id, key="same")
    with pytest.raises(sqlite3.IntegrityError):
        await sessions.turns.finish([first, second], answered(first, second))
    assert await sessions.turns.finished(first.turn_id) is None
    assert await sessions.history(OWNER, session.id) == []


async def test_a_turn_that_ends_after_its_session_was_deleted_is_recorded_without_history(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound)
    await sessions.delete(OWNER, session.id)
    await sessions.turns.finish([inbound], outbound)
    assert await sessions.turns.finished(inbound.turn_id) == outbound
    assert await sessions.context(session.id, limit=10) == []


async def test_old_turns_are_forgotten_and_recent_ones_kept(sessions: Kept, clock: FakeClock) -> None:
    session = await sessions.open(OWNER, None)
    old, recent = asked(session.id), asked(session.id)
    await sessions.turns.finish([old], answered(old))
    clock.advance(TURNS_KEPT.total_seconds())
    assert await sessions.turns.purge() == 0
    await sessions.turns.finish([recent], answered(recent))
    clock.advance(1)
    assert await sessions.turns.purge() == 1
    assert await sessions.turns.finished(old.turn_id) is None
    assert await sessions.turns.finished(recent.turn_id) is not None
    assert len(await sessions.history(OWNER, session.id)) == 4


async def test_turns_cannot_be_forgotten_too_early(sessions: Kept) -> None:
    with pytest.raises(ValueError):
        await sessions.turns.purge(TURNS_KEPT - timedelta(seconds=1))


async def test_many_old_turns_are_forgotten_in_steps(
    sessions: Kept, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.storage.turns.PURGED_AT_ONCE", 3)
    session = await sessions.open(OWNER, None)
    turns = [asked(session.id) for _ in range(7)]
    await asyncio.gather(*(sessions.turns.finish([turn], answered(turn)) for turn in turns))
    clock.advance(TURNS_KEPT.total_seconds() + 1)
    assert await sessions.turns.purge() == 7


async def test_a_finish_whose_caller_was_cancelled_is_whole(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound)
    task = asyncio.create_task(sessions.turns.finish([inbound], outbound))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await sessions.turns.finish([inbound], outbound)
    assert len(await sessions.history(OWNER, session.id)) == 2


@pytest.mark.parametrize("value", BAD_VALUES)
async def test_an_answer_that_went_bad_is_told_to_who_asks_again(
    store: Store, sessions: Kept, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    session = await sessions.open(OWNER, None)
    question = asked(session.id, key="k")
    await sessions.turns.finish([question], answered(question))
    await spoil(store, "UPDATE turns SET outbound_json = ?", value)
    assert await sessions.turns.finished(question.turn_id) is None
    found = await sessions.turns.by_dedupe_key("k")
    assert found is not None
    assert (found.outbound.outcome, found.outbound.answers) == ("error", (question.turn_id,))
    assert f" {question.turn_id} in agentd.db is damaged" in caplog.text
