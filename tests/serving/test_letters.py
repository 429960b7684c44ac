"""What is pending and dead, as its owner sees it; nothing here delivers anything but a daemon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import NotFound, StateError, StateInUse, UsageError
from agentd.events import Event, InboundEvent, OutboundEvent, Reopened, ToolCallSucceeded, TurnWaiting
from agentd.host.files import Files, OsFiles
from agentd.host.lock import StateLock
from agentd.pending import PendingDirectory
from agentd.records import OWNER, Address, Principal
from agentd.serving.inbox import DurableInbox
from agentd.serving.letters import Letters, letters_at_rest
from agentd.serving.receipts import Receipts
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.model import ScriptedModel
from agentd.turns.conversation import Conversations
from tests.builders import IDS, TIME, address, inbound, offer, outbound
from tests.house import next_answer, running, status_until
from tests.unfinished import unfinished

NOW = SystemClock()


class Held(OsFiles):
    """A disk on which a retry waits, just before the event is pending again."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()

    def link(self, source: str, target: str) -> None:
        if "/dead/" in source:
            self.entered.set()
            assert self.go.wait(10)
        super().link(source, target)


class Desk:
    """Letters over a real pending directory and database, with a list of what was handed on."""

    def __init__(self, pending: PendingDirectory, store: Store) -> None:
        self.pending = pending
        self.turns = TurnRecords(store, NOW)
        self.handed: list[tuple[str, str]] = []
        self.news = asyncio.Event()
        bus = EventBus(pending, [self.saw], ids=IDS, clock=NOW)
        self.inbox = DurableInbox(
            bus=bus,
            receipts=Receipts(pending, self.turns),
            sessions=Sessions(store, IDS, NOW),
            conversations=Conversations(),
            queue_limit=3,
        )
        self.letters = Letters(
            pending, self.turns, bus=bus, clock=NOW, holding=self.inbox.holding, channels={address().channel}
        )

    def saw(self, event: Event) -> None:
        if isinstance(event, InboundEvent):
            self.handed.append((event.turn_id, event.id))
        elif isinstance(event, Reopened):
            self.handed.append((event.turn_id, event.outbound_id))
        self.news.set()

    async def answer(self, text: str = "hi") -> OutboundEvent:
        asked = inbound()
        await self.pending.accept(asked)
        event = outbound(asked, text)
        await self.pending.answer(event)
        return event

    async def dead_answer(self, reason: str = "the chat is gone") -> OutboundEvent:
        event = await self.answer()
        await self.pending.bury(event.turn_id, reason)
        return event

    async def dead_question(self) -> InboundEvent:
        """As the agent worker leaves one that took the daemon down: buried, and its turn ended by a notice."""
        asked = inbound()
        await self.pending.accept(asked)
        await self.turns.finish([asked], outbound(asked, "it was put aside", answers=(), outcome="error"))
        await self.pending.bury(asked.turn_id, "it crashed the daemon")
        return asked


@asynccontextmanager
async def desk(state: Path, files: Files | None = None) -> AsyncIterator[Desk]:
    async with (
        PendingDirectory(state, files) as pending,
        Store(state / "agentd.db", load_migrations("agentd.storage")) as store,
    ):
        yield Desk(pending, store)


async def test_the_list_has_questions_answers_and_dead_letters_with_their_last_error(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        asked = inbound()
        await d.pending.accept(asked)
        answer = await d.answer()
        until = NOW.now() + timedelta(seconds=60)
        await d.pending.defer(answer.turn_id, until=until, attempt=3, error="no route")
        dead = await d.dead_answer("blocked by the user")
        found = (await d.letters.letters(OWNER)).as_json()
    question, deferred = found["pending"]
    assert (question["id"], question["kind"], question["attempts"]) == (asked.id, "inbound", 0)
    assert (deferred["id"], deferred["turn"], deferred["kind"]) == (answer.id, answer.turn_id, "outbound")
    assert (deferred["attempts"], deferred["error"]) == (3, "no route") and deferred["next_try"] is not None
    assert 0 <= deferred["age"] < 60 and deferred["address"]["chat"] == answer.address.chat
    (letter,) = found["dead"]
    assert (letter["id"], letter["error"]) == (dead.id, "blocked by the user") and 0 <= letter["dead_age"] < 60
    assert found["counts"] == {"pending": 2, "dead": 1}


async def test_a_long_list_is_cut_at_the_oldest_and_counted_in_full(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        events = [await d.answer() for _ in range(5)]
        found = (await d.letters.letters(OWNER, limit=2)).as_json()
    assert [letter["id"] for letter in found["pending"]] == [event.id for event in events[:2]]
    assert found["counts"]["pending"] == 5


async def test_the_steps_of_a_turn_are_shown_one_by_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        asked = inbound()
        turn = {"id": IDS.next(), "time": TIME, "turn_id": asked.id, "session_id": asked.session_id}
        await made.pending.accept(asked)
        waiting = TurnWaiting(**turn, call_id="c", what="send it?", until=TIME)
        result = ToolCallSucceeded(**{**turn, "id": IDS.next()}, call_id="c", result="a long text")
        await made.pending.stepped(asked.id, [waiting, result], durable=True)
        log = (await made.letters.letter(OWNER, asked.id)).log
    assert [(line["line"], line["call_id"]) for line in log] == [("turn_waiting", "c"), ("tool_call_succeeded", "c")]
    assert log[0]["what"] == "send it?" and "result" not in log[1]


async def test_one_event_is_shown_with_its_text_its_log_and_its_reason(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        pending = await d.answer("the whole text")
        await d.pending.sending(pending.turn_id, ["the whole", " text"])
        await d.pending.part_done(pending.turn_id, 0)
        for wanted in (pending.id, pending.turn_id):
            found = (await d.letters.letter(OWNER, wanted)).as_json()
            assert found["event"]["text"] == "the whole text"
            assert found["log"] == [{"line": "sending", "parts": ["the whole", " text"]}, {"line": "part", "n": 0}]
        dead = await d.dead_answer("blocked")
        found = (await d.letters.letter(OWNER, dead.id)).as_json()
        assert (found["letter"]["state"], found["letter"]["error"]) == ("dead", "blocked")
        assert found["log"][-1]["line"] == "buried" and found["event"]["id"] == dead.id


async def test_what_is_not_there_cannot_be_shown(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        for wanted in (IDS.next(), "../../etc/passwd", ""):
            with pytest.raises(NotFound, match="agentd delivery list"):
                await d.letters.letter(OWNER, wanted)


async def test_a_dead_answer_that_is_retried_is_pending_and_handed_on(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        dead = await d.dead_answer()
        found = (await d.letters.retry(OWNER, [dead.id])).as_json()
        assert found == {"done": [dead.id], "failed": {}, "more": False}
        assert d.handed == [(dead.turn_id, dead.id)]
        assert (await unfinished(d.pending))[dead.turn_id].outbound_id == dead.id and not await d.pending.dead()


async def test_a_dead_question_that_is_retried_is_no_longer_answered_by_its_notice(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        asked = await d.dead_question()
        await d.letters.retry(OWNER, [asked.id])
        assert d.handed == [(asked.id, asked.id)]
        assert await d.turns.finished(asked.id) is None
        assert await d.turns.by_dedupe_key(asked.dedupe_key) is None


async def test_a_question_of_a_channel_that_runs_elsewhere_is_pending_again_and_left_alone(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        asked = inbound(address=address(channel="elsewhere"))
        await d.pending.accept(asked)
        await d.pending.bury(asked.turn_id, "it crashed the daemon")
        assert (await d.letters.retry(OWNER, [asked.id])).done == (asked.id,)
        assert not d.handed and list(await unfinished(d.pending)) == [asked.id]


async def test_a_dead_question_that_came_again_since_is_not_answered_twice(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        asked = await d.dead_question()
        await d.turns.reopen(asked)
        again = inbound(dedupe_key=asked.dedupe_key)
        await d.pending.accept(again)
        found = (await d.letters.retry(OWNER, [asked.id])).as_json()
        assert again.id in found["failed"][asked.id]
        await d.turns.finish([again], outbound(again))
        await d.pending.ack(again.id)
        found = (await d.letters.retry(OWNER, [asked.id])).as_json()
        assert again.id in found["failed"][asked.id] and not d.handed
        assert [letter.id for letter in await d.pending.dead()] == [asked.id]


async def test_a_message_that_is_offered_while_its_question_is_retried_is_the_same_turn(tmp_path: Path) -> None:
    disk = Held()
    async with desk(tmp_path / "s", disk) as d:
        first = await d.inbox.accept(offer("hello", message_id="m1"))
        asked = await d.pending.load(first.id)
        assert isinstance(asked, InboundEvent)
        await d.turns.finish([asked], outbound(asked, "it was put aside", answers=(), outcome="error"))
        await d.pending.bury(asked.turn_id, "it crashed the daemon")
        retry = asyncio.create_task(d.letters.retry(OWNER, [asked.id]))
        assert await asyncio.to_thread(disk.entered.wait, 10)
        again = asyncio.create_task(d.inbox.accept(offer("hello", message_id="m1")))
        disk.go.set()
        async with asyncio.timeout(60):
            assert (await retry).done == (asked.id,)
            receipt = await again
        assert d.handed == [(asked.id, asked.id)] * 2, "once when it was asked, and once when it was taken back"
        assert (receipt.id, receipt.duplicate, receipt.answer) == (asked.id, True, None)
        assert list(await unfinished(d.pending)) == [asked.id]


async def test_a_caller_that_leaves_does_not_keep_a_retry_from_its_worker(tmp_path: Path) -> None:
    disk = Held()
    async with desk(tmp_path / "s", disk) as d:
        dead = await d.dead_answer()
        task = asyncio.create_task(d.letters.retry(OWNER, [dead.id]))
        assert await asyncio.to_thread(disk.entered.wait, 10)
        task.cancel()
        disk.go.set()
        async with asyncio.timeout(60):
            await d.news.wait()
            await asyncio.wait([task])
        assert task.cancelled() and d.handed == [(dead.turn_id, dead.id)]


async def test_the_same_letter_is_retried_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        dead = await d.dead_answer()
        both = await asyncio.gather(*(d.letters.retry(OWNER, [dead.id, dead.id]) for _ in range(2)))
        assert sorted(len(found.done) for found in both) == [0, 1]
        assert d.handed == [(dead.turn_id, dead.id)]


async def test_dropped_letters_are_gone_and_the_others_say_why_not(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        dead, waiting, stranger = await d.dead_answer(), await d.answer(), IDS.next()
        found = (await d.letters.drop(OWNER, [dead.id, waiting.id, stranger, "no id"])).as_json()
        assert found["done"] == [dead.id] and set(found["failed"]) == {waiting.id, stranger, "no id"}
        assert waiting.turn_id in await unfinished(d.pending) and not await d.pending.dead()


async def test_all_that_were_given_up_long_enough_ago_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path / "s") as d:
        letters = [await d.dead_answer() for _ in range(3)]
        assert (await d.letters.drop(OWNER, older_than=3600.0)).as_json()["done"] == []
        monkeypatch.setattr("agentd.serving.letters.MOST", 2)
        first = (await d.letters.drop(OWNER, older_than=0.0)).as_json()
        assert first["done"] == [letter.id for letter in letters[:2]] and first["more"]
        rest = (await d.letters.drop(OWNER, older_than=0.0)).as_json()
        assert rest == {"done": [letters[2].id], "failed": {}, "more": False}


async def test_nothing_is_meant_by_no_ids_and_nobody_but_the_owner_may_ask(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        with pytest.raises(UsageError, match="ids"):
            await d.letters.drop(OWNER)
        for principal in (Principal(kind="person", id="t"), Principal(kind="chat", id="c")):
            with pytest.raises(UsageError, match="owner"):
                await d.letters.letters(principal)


async def test_at_rest_the_lock_is_held_and_nothing_moves(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with desk(state) as d:
        answer, dead = await d.answer(), await d.dead_answer()
    before = sorted((path.name, path.read_bytes()) for path in (state / "pending").iterdir())
    async with letters_at_rest(state) as letters:
        found = (await letters.letters()).as_json()
        assert [letter["id"] for letter in found["pending"] + found["dead"]] == [answer.id, dead.id]
        with pytest.raises(StateInUse), StateLock(state):
            pass
    assert sorted((path.name, path.read_bytes()) for path in (state / "pending").iterdir()) == before


async def test_a_question_retried_beside_a_running_daemon_is_answered(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with running(state, ScriptedModel()) as house, house.client() as client:
        session = (await client.open()).session
    async with desk(state) as d:
        asked = inbound("what is it?", session_id=session, address=_terminal(session))
        await d.pending.accept(asked)
        await d.turns.finish([asked], outbound(asked, "put aside", answers=(), outcome="error"))
        await d.pending.bury(asked.turn_id, "it crashed the daemon")
    async with running(state, ScriptedModel()) as house, house.client() as client:
        await client.open(session)
        assert (await client.retry([asked.id])).as_json()["done"] == [asked.id]
        answer = await next_answer(client)
        assert (answer.answers, answer.outcome) == ((asked.id,), "answer")
        await client.ack(answer.id)
        await status_until(client, "pending", unanswered=0, undelivered=0, dead=0)


async def test_a_question_retried_at_rest_is_answered_by_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with running(state, ScriptedModel()) as house, house.client() as client:
        session = (await client.open()).session
    async with desk(state) as d:
        asked = inbound("what is it?", session_id=session, address=_terminal(session))
        await d.pending.accept(asked)
        await d.turns.finish([asked], outbound(asked, "put aside", answers=(), outcome="error"))
        await d.pending.bury(asked.turn_id, "it crashed the daemon")
    async with letters_at_rest(state) as letters:
        assert (await letters.retry([asked.id])).as_json()["done"] == [asked.id]
    async with running(state, ScriptedModel()) as house, house.client() as client:
        await client.open(session)
        assert (await next_answer(client)).answers == (asked.id,)


async def test_an_answer_retried_beside_a_running_daemon_is_delivered(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with running(state, ScriptedModel()) as house, house.client() as client:
        session = (await client.open()).session
    async with desk(state) as d:
        asked = inbound(session_id=session, address=_terminal(session))
        await d.pending.accept(asked)
        event = outbound(asked, "late, but here")
        await d.pending.answer(event)
        await d.pending.bury(event.turn_id, "nobody wanted it")
    async with running(state, ScriptedModel()) as house, house.client() as client:
        await client.open(session)
        await client.retry([event.id])
        answer = await next_answer(client)
        assert (answer.id, answer.text) == (event.id, "late, but here")


async def test_a_disk_that_refuses_is_told_and_the_letter_stays_dead(tmp_path: Path) -> None:
    async with desk(tmp_path / "s") as d:
        dead = await d.dead_answer()
        (tmp_path / "s" / "dead" / f"{dead.id}.event").write_bytes(b"torn")
        with pytest.raises(StateError, match="damaged"):
            await d.pending.dead_event(dead.id)
        found = (await d.letters.retry(OWNER, [dead.id])).as_json()
        assert "damaged" in found["failed"][dead.id] and not d.handed


def _terminal(session: str) -> Address:
    return Address(channel="terminal", account="local", chat=session)
