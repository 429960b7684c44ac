"""The AgentWorker: order, concurrency, stopping, and what it does with work that an earlier process left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.delivery.backoff import Backoff
from agentd.errors import StateError, Unreadable
from agentd.events import (
    Buried,
    Event,
    InboundEvent,
    Kind,
    OutboundEvent,
    StopRequested,
    TurnFinished,
    TurnInterrupted,
    TurnQueued,
    TurnStarted,
)
from agentd.ids import IdSource
from agentd.ports.generation import Limits, Sampling, TextDelta
from agentd.ports.turns import FinishedTurn
from agentd.ports.work import PendingTurn
from agentd.records import OWNER, Principal
from agentd.serving.inbox import DurableInbox
from agentd.serving.receipts import Receipts
from agentd.testing.model import ScriptedModel, question_of
from agentd.testing.pending import MemoryPending
from agentd.tools.registry import Tools
from agentd.turns.chronicle import Chronicle
from agentd.turns.conversation import Conversations
from agentd.turns.factory import TurnFactory
from agentd.turns.settings import TurnSettings
from agentd.turns.turn import Answerers
from agentd.turns.window import Memory
from tests.builders import SESSION, address, inbound, outbound
from tests.fakes import ListedDocuments, MemoryTurns, prepared_from
from tests.unfinished import unfinished
from workers.agent import AgentWorker, Ledger, ledger, worker
from workers.agent.runner import MAX_ALONE

GUEST, OTHER = Principal(kind="chat", id="7"), Principal(kind="chat", id="8")
SETTINGS = TurnSettings(prompt_tokens=2000, sampling=Sampling(), limits=Limits())


class House:
    def __init__(
        self,
        pending: MemoryPending | None = None,
        turns: MemoryTurns | None = None,
        model: ScriptedModel | None = None,
        tools: Tools | None = None,
    ) -> None:
        self.model = model or ScriptedModel()
        self.pending = pending or MemoryPending()
        self.turns = turns or MemoryTurns()
        self.events: list[Event] = []
        self.conversations = Conversations()
        self.changed = asyncio.Event()
        self.bus = EventBus(self.pending, [self.conversations.apply, self.saw])
        ids, clock = IdSource(), SystemClock()
        factory = TurnFactory(
            chronicle=Chronicle(self.bus, self.pending, ids, clock),
            preparation=prepared_from(ListedDocuments(), self.turns),
            memory=Memory(history=self.turns),
            answerers=Answerers(model=self.model),
            settings=SETTINGS,
            tools=tools or {},
        )
        kept = Ledger(self.pending, self.turns, self.bus, clock, {"test"})
        self.worker = AgentWorker(self.bus, self.conversations, kept, factory, clock=clock, concurrency=2)
        self.inbox = DurableInbox(
            bus=self.bus,
            receipts=Receipts(self.pending, self.turns),
            sessions=self.turns,
            conversations=self.conversations,
            queue_limit=10,
        )

    async def stop(self) -> bool:
        return await self.inbox.stop(SESSION, OWNER)

    def saw(self, event: Event) -> None:
        self.events.append(event)
        self.changed.set()

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def answers(self) -> list[str]:
        return [event.text.strip() for event in self.events if isinstance(event, OutboundEvent)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(300):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.worker.run(), name="agent worker")
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


class Unread(MemoryTurns):
    """Cannot be read the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = {"finished", "by_dedupe_key"}

    async def finished(self, turn_id: str) -> OutboundEvent | None:
        self._read("finished")
        return await super().finished(turn_id)

    async def by_dedupe_key(self, key: str) -> FinishedTurn | None:
        self._read("by_dedupe_key")
        return await super().by_dedupe_key(key)

    def _read(self, what: str) -> None:
        if what in self.unread:
            self.unread.discard(what)
            raise StateError("the disk reports an input/output error")


def other(n: int) -> str:
    return f"00000000000000{n:02x}-00000000"


async def test_a_message_becomes_one_transaction_and_then_one_answer() -> None:
    house = House()
    event = inbound("hello there")
    async with house.running():
        await house.bus.publish(event)
        await house.until(lambda: bool(house.of(TurnFinished)))
    assert house.answers() == ["hello there"]
    assert house.turns.steps == ["transaction"]
    assert [move for move, _ in house.pending.moves if move != "load"] == ["accept", "started", "answer"]
    assert (await unfinished(house.pending))[event.id].outbound_id


async def test_messages_of_a_session_are_answered_one_at_a_time_in_order() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running():
        await house.bus.publish(inbound("one"))
        await house.until(lambda: house.model.most_running == 1)
        for text in ("two", "three"):
            await house.bus.publish(inbound(text))
        await house.until(lambda: len(house.of(TurnQueued)) == 2)
        assert [e.position for e in house.events if isinstance(e, TurnQueued)] == [1, 2]
        house.model.gate.set()
        await house.until(lambda: len(house.answers()) == 3)
    assert house.answers() == ["one", "two", "three"]
    assert house.model.most_running == 1


async def test_sessions_are_answered_in_parallel_up_to_the_limit_and_in_turn() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running():
        for n in range(4):
            await house.bus.publish(inbound(f"{n}a", session_id=other(n)))
            await house.bus.publish(inbound(f"{n}b", session_id=other(n)))
        async with asyncio.timeout(300):
            while house.model.most_running < 2:  # noqa: ASYNC110 (the model tells nobody that it was asked)
                await asyncio.sleep(0.005)
        house.model.gate.set()
        await house.until(lambda: len(house.answers()) == 8)
    assert house.model.most_running == 2
    first_half = {answer[0] for answer in house.answers()[:4]}
    assert len(first_half) == 4, "a session with more messages took the turn of another one"


async def test_who_asks_little_does_not_wait_behind_who_asks_much() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running():
        for n in range(400):  # more than the worker's queue of events holds
            await house.bus.publish(inbound(f"much {n}", session_id=f"s{n}", principal=GUEST))
        await house.bus.publish(inbound("little", session_id="other", principal=OTHER))
        await house.bus.publish(inbound("mine", session_id="mine"))
        house.model.gate.set()
        await house.until(lambda: {"little", "mine"} <= set(house.answers()))
        answers = house.answers()
        assert max(answers.index("little"), answers.index("mine")) < 10


async def test_stop_ends_the_running_turn_keeps_what_it_said_and_goes_on_with_the_next() -> None:
    model = ScriptedModel(lambda r: (TextDelta(text=f"{question_of(r)} {n} ") for n in range(100_000)))
    house = House(model=model)
    async with house.running():
        await house.bus.publish(inbound("endless"))
        await house.bus.publish(inbound("next"))
        await house.until(lambda: str(house.conversations.of(SESSION).said) != "")
        assert await house.stop() and not await house.stop(), "it is asked to stop once"
        await house.until(lambda: len(house.answers()) == 1)
        await house.until(lambda: len(house.of(TurnStarted)) == 2)
        assert await house.stop()
        await house.until(lambda: len(house.answers()) == 2)
    stopped = [e for e in house.events if isinstance(e, OutboundEvent)]
    assert [e.outcome for e in stopped] == ["interrupted", "interrupted"]
    assert stopped[0].text.startswith("endless ")
    assert len(house.of(TurnInterrupted)) == 2


async def test_stop_in_an_idle_session_says_that_nothing_runs() -> None:
    house = House()
    async with house.running():
        assert not await house.stop()


class SlowStart(MemoryPending):
    """Notes that a turn starts only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = asyncio.Event(), asyncio.Event()

    async def started(self, turn_id: str, *, alone: bool) -> PendingTurn:
        self.entered.set()
        await self.go.wait()
        return await super().started(turn_id, alone=alone)


async def test_a_turn_that_is_just_about_to_start_is_stopped_before_the_model_says_anything() -> None:
    pending = SlowStart()
    house = House(pending)
    async with house.running():
        await house.bus.publish(inbound("hello"))
        await pending.entered.wait()
        assert await house.stop() and not await house.stop()
        pending.go.set()
        await house.until(lambda: bool(house.answers()))
        assert not await house.stop()
    (answer,) = (event for event in house.events if isinstance(event, OutboundEvent))
    assert (answer.outcome, answer.text) == ("interrupted", "") and not house.model.requests


async def test_a_turn_that_runs_alone_after_a_crash_can_be_stopped() -> None:
    pending = MemoryPending()
    event = inbound("hello")
    await pending.accept(event)
    await pending.started(event.id, alone=False)
    house = House(pending.after_crash())
    house.model.gate.clear()
    async with house.running():
        await house.until(lambda: house.conversations.of(SESSION).running == event.id)
        assert await house.stop()
        await house.until(lambda: bool(house.answers()))
    assert [e.outcome for e in house.events if isinstance(e, OutboundEvent)] == ["interrupted"]


async def test_more_requests_to_stop_than_are_kept_end_what_runs_all_the_same() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running():
        await house.bus.publish(inbound("hello"))
        await house.until(lambda: house.model.running == 1)
        for n in range(1000):
            house.bus.announce(StopRequested(turn_id=f"t{n}", session_id=other(1)))
        assert await house.stop()
        await house.until(lambda: bool(house.answers()))
    assert len(house.of(TurnInterrupted)) == 1


async def test_unanswered_messages_of_an_earlier_process_are_answered_in_order() -> None:
    pending = MemoryPending()
    for text in ("one", "two"):
        await pending.accept(inbound(text))
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: len(house.answers()) == 2)
    assert house.answers() == ["one", "two"]


async def test_a_turn_that_was_stored_before_a_crash_is_published_without_asking_the_model_again() -> None:
    pending, turns = MemoryPending(), MemoryTurns()
    event = inbound("hello")
    stored = outbound(event, "made before the crash")
    await pending.accept(event)
    await pending.started(event.id, alone=False)
    await turns.finish([event], stored)
    house = House(pending.after_crash(), turns)
    async with house.running():
        await house.until(lambda: bool(house.answers()))
    assert house.of(OutboundEvent) == [stored]
    assert house.model.requests == []


async def test_turns_that_ran_when_the_process_died_run_alone_before_the_rest() -> None:
    pending = MemoryPending()
    waiting = inbound("waiting", session_id=other(1))
    suspects = [inbound(f"suspect {n}", session_id=other(n)) for n in (2, 3)]
    for event in (waiting, *suspects):
        await pending.accept(event)
    for event in suspects:
        await pending.started(event.id, alone=False)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: len(house.answers()) == 3)
    assert house.answers() == ["suspect 2", "suspect 3", "waiting"]
    assert house.model.most_running == 1
    attempts = [e.attempt for e in house.events if isinstance(e, TurnStarted)]
    assert attempts == [2, 2, 1]


async def test_a_message_that_takes_the_daemon_down_alone_three_times_is_put_aside_and_its_sender_told() -> None:
    pending = MemoryPending()
    event, innocent = inbound("poison"), inbound("innocent")
    await pending.accept(event)
    await pending.accept(innocent)
    await pending.started(event.id, alone=False)
    for life in range(MAX_ALONE):
        pending = pending.after_crash()
        assert (await unfinished(pending))[event.id].starts_alone == life
        await pending.started(event.id, alone=True)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["innocent"]
    assert [e.dead_id for e in house.events if isinstance(e, Buried)] == [event.id]
    letter = house.pending.dead[event.id]
    assert letter.event == event and "3 times" in letter.reason
    [notice] = [e for e in (await unfinished(house.pending)).values() if e.id != innocent.id]
    told = await house.pending.load(notice.id)
    assert isinstance(told, OutboundEvent)
    assert (told.outcome, told.answers, told.in_reply_to) == ("error", (), event.message_id)
    assert await house.turns.finished(event.id) == told


@pytest.mark.parametrize("kind", ["command", "decision"])
async def test_what_is_no_message_never_runs_as_a_question_and_its_sender_is_told(kind: Kind) -> None:
    pending = MemoryPending()
    recovered, question = inbound("allow it", kind=kind), inbound("a question")
    for event in (recovered, question):
        await pending.accept(event)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: bool(house.answers()))
        published = inbound("deny it", kind=kind)
        await house.bus.publish(published)
        await house.until(lambda: len(house.of(Buried)) == 2)
    assert house.answers() == ["a question"] and len(house.model.requests) == 1
    assert [e.dead_id for e in house.events if isinstance(e, Buried)] == [recovered.id, published.id]
    for event in (recovered, published):
        assert house.pending.dead[event.id].event == event
        told = await house.turns.finished(event.id)
        assert told is not None and (told.address, told.answers) == (event.address, ())
        assert (told.outcome, told.error_code, told.in_reply_to) == ("error", "not_carried_out", event.message_id)
        assert await house.pending.load(told.id) == told
    assert (await house.pending.counts()).unanswered == 0


async def test_a_decision_waits_behind_no_turn() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running():
        await house.bus.publish(inbound("a question"))
        await house.until(lambda: house.model.running == 1 or bool(house.of(TurnStarted)))
        await house.bus.publish(inbound("allow it", kind="decision"))
        await house.until(lambda: bool(house.of(Buried)))
        assert not house.answers()
        house.model.gate.set()
        await house.until(lambda: bool(house.answers()))


async def test_a_decision_is_told_of_twice_and_put_aside_once() -> None:
    pending = MemoryPending()
    decision = inbound("allow it", kind="decision")
    await pending.accept(decision)
    house = House(pending)
    house.bus.announce(decision)
    async with house.running():
        await house.until(lambda: bool(house.of(Buried)))
        await house.bus.publish(inbound("a question"))
        await house.until(lambda: bool(house.answers()))
    assert len(house.of(Buried)) == 1


async def test_a_disk_that_refuses_loses_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "STORE_WAITS", Backoff(first=0.001, longest=0.001))
    pending = MemoryPending()
    decision = inbound("allow it", kind="decision")
    await pending.accept(decision)
    pending.fail("bury", StateError("the disk is full"))
    house = House(pending)
    house.turns.faults.append(StateError("the disk is full"))
    async with house.running():
        await house.until(lambda: bool(house.of(Buried)))
    assert house.pending.dead[decision.id].event == decision


async def test_a_turn_that_died_alone_waits_until_the_others_are_served_and_runs_alone_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "QUIET_SECONDS", 1.0)
    pending = MemoryPending()
    suspect, later = inbound("suspect"), inbound("later")
    others = [inbound(f"other {n}", session_id=other(n)) for n in range(3)]
    for event in (suspect, later, *others):
        await pending.accept(event)
    await pending.started(suspect.id, alone=True)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: len(house.answers()) == 5)
    assert sorted(house.answers()[:3]) == ["other 0", "other 1", "other 2"]
    assert house.answers()[3:] == ["suspect", "later"]


@pytest.mark.parametrize("ran", [False, True])
async def test_who_follows_a_session_is_told_the_question_that_an_earlier_process_left(ran: bool) -> None:
    pending = MemoryPending()
    event = inbound("left by a kill")
    await pending.accept(event)
    if ran:
        await pending.started(event.id, alone=False)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: bool(house.of(TurnFinished)))
    told = [type(e) for e in house.events if isinstance(e, InboundEvent | TurnStarted | OutboundEvent)]
    assert told == [InboundEvent, TurnStarted, OutboundEvent]
    assert house.answers() == ["left by a kill"]


async def test_questions_of_others_that_an_earlier_process_left_do_not_count_as_the_owners() -> None:
    pending = MemoryPending()
    for n in range(6):
        await pending.accept(inbound(f"guest {n}", session_id=other(n), principal=GUEST))
    house = House(pending.after_crash())
    house.model.gate.clear()
    async with house.running():
        await house.until(lambda: bool(house.of(TurnStarted)))
        await house.bus.publish(inbound("the owner's", session_id=other(9)))
        await house.until(lambda: len(house.of(TurnStarted)) == 2)
        house.model.gate.set()
        await house.until(lambda: len(house.answers()) == 7)
    assert "the owner's" in house.answers()[:2]


async def test_a_death_while_a_suspect_waits_to_run_alone_clears_it() -> None:
    pending = MemoryPending()
    suspect = inbound("suspect")
    await pending.accept(suspect)
    await pending.started(suspect.id, alone=True)
    house = House(pending.after_crash())
    async with house.running():
        await house.bus.publish(inbound("another", session_id=other(1)))
        await house.until(lambda: bool(house.answers()))
        async with asyncio.timeout(300):
            await house.worker.drain()
    assert house.answers() == ["another"]
    found = house.pending.after_crash()
    assert not (await unfinished(found))[suspect.id].running
    again = House(found)
    async with again.running():
        await again.until(lambda: bool(again.answers()))
    assert again.answers() == ["suspect"]
    assert (await unfinished(found))[suspect.id].starts_alone == 0


async def test_a_full_disk_does_not_keep_the_worker_from_holding_a_suspect() -> None:
    pending = MemoryPending()
    suspect = inbound("suspect")
    await pending.accept(suspect)
    await pending.started(suspect.id, alone=True)
    house = House(pending.after_crash())
    house.pending.fail("held", StateError("the disk is full"))
    async with house.running():
        await house.bus.publish(inbound("another", session_id=other(1)))
        await house.until(lambda: len(house.answers()) == 2)
    assert house.answers() == ["another", "suspect"]


async def test_a_message_that_was_refused_and_answered_when_it_came_again_is_not_answered_twice() -> None:
    pending, turns = MemoryPending(), MemoryTurns()
    refused = inbound("hello")
    again = inbound("hello", dedupe_key=refused.dedupe_key)
    await turns.finish([again], outbound(again, "hello"))
    await pending.accept(refused)
    house = House(pending.after_crash(), turns)
    async with house.running():
        await house.bus.publish(inbound("next"))
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["next"] and len(house.model.requests) == 1
    assert again.id in house.pending.dead[refused.id].reason
    assert refused.id not in turns.ended


async def test_how_a_turn_ended_is_looked_up_until_the_disk_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "STORE_WAITS", Backoff(first=0.0, longest=0.0))
    pending, turns = MemoryPending(), Unread()
    event = inbound("hello")
    await pending.accept(event)
    await turns.finish([event], outbound(event, "as it was"))
    house = House(pending.after_crash(), turns)
    async with house.running():
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["as it was"] and not house.model.requests


async def test_a_turn_that_runs_when_the_daemon_stops_in_good_order_is_not_to_blame() -> None:
    house = House()
    house.model.gate.clear()
    event = inbound("interrupted by the stop")
    async with house.running():
        await house.bus.publish(event)
        await house.until(lambda: bool(house.of(TurnStarted)))
    turn = (await unfinished(house.pending))[event.id]
    assert not turn.outbound_id and not turn.running
    again = House(house.pending.after_crash())
    async with again.running():
        await again.until(lambda: bool(again.answers()))
    assert again.answers() == ["interrupted by the stop"]
    assert [e.attempt for e in again.events if isinstance(e, TurnStarted)] == [2]


async def test_draining_ends_what_runs_and_leaves_what_waits() -> None:
    house = House()
    house.model.gate.clear()
    async with house.running() as task:
        for text in ("running", "waiting"):
            await house.bus.publish(inbound(text))
        await house.until(lambda: bool(house.of(TurnStarted)))
        drained = asyncio.create_task(house.worker.drain(), name="drain")
        await asyncio.sleep(0)
        assert not drained.done()
        house.model.gate.set()
        async with asyncio.timeout(300):
            await drained
            await asyncio.wait([task])
    assert house.answers() == ["running"]
    assert len(await unfinished(house.pending)) == 2


async def test_an_answer_that_the_disk_refuses_is_stored_later_and_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "STORE_WAITS", Backoff(first=0.0, longest=0.0))
    house = House()
    house.turns.faults = [StateError("the disk is full"), StateError("the disk is full")]
    house.pending.fail("answer", StateError("the disk is full"))
    async with house.running():
        await house.bus.publish(inbound("hello"))
        await house.until(lambda: bool(house.of(TurnFinished)))
    assert house.answers() == ["hello"]
    assert len(house.model.requests) == 1


async def test_a_question_that_cannot_be_read_back_is_set_aside_and_the_session_goes_on() -> None:
    house = House()
    house.pending.fail("load", Unreadable("the event is damaged"))
    bad, good = inbound("bad"), inbound("good")
    async with house.running():
        await house.bus.publish(bad)
        await house.bus.publish(good)
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["good"]
    assert house.pending.corrupt[bad.id].reason == "the event is damaged"


async def test_a_disk_that_is_away_for_a_while_costs_a_question_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "STORE_WAITS", Backoff(first=0.0, longest=0.0))
    house = House()
    for move in ("load", "started"):
        house.pending.fail(move, StateError("too many files are open"))
    async with house.running():
        await house.bus.publish(inbound("hello"))
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["hello"]
    assert not house.pending.corrupt and not house.pending.dead


async def test_messages_of_channels_that_do_not_run_here_are_left_alone() -> None:
    pending = MemoryPending()
    foreign = inbound("for another process", address=address(channel="telegram"))
    await pending.accept(foreign)
    mine = inbound("mine", session_id=other(5))
    await pending.accept(mine)
    house = House(pending.after_crash())
    async with house.running():
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["mine"]
    assert not (await unfinished(house.pending))[foreign.id].starts


async def test_a_burst_that_overflows_the_queue_of_events_is_answered_whole() -> None:
    house = House()
    async with house.running():
        events: list[InboundEvent] = [inbound(str(n), session_id=other(n % 7)) for n in range(600)]
        await asyncio.gather(*(house.bus.publish(event) for event in events))
        await house.until(lambda: len(house.answers()) == 600)
    assert sorted(house.answers(), key=int) == [str(n) for n in range(600)]


async def test_a_burst_of_decisions_that_overflows_the_queue_of_events_is_put_aside_whole() -> None:
    house = House()
    async with house.running():
        events = [inbound(str(n), kind="decision", session_id=other(n % 7)) for n in range(300)]
        await asyncio.gather(*(house.bus.publish(event) for event in events))
        await house.until(lambda: len(house.of(Buried)) == 300)
    assert set(house.pending.dead) == {event.id for event in events}
