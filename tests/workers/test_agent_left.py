"""Turns that are left while a call waits for a decision, and turns that go on after a restart: nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from agentd.delivery.backoff import Backoff
from agentd.errors import StateError
from agentd.events import (
    Event,
    InboundEvent,
    OutboundEvent,
    ToolCallApproved,
    ToolCallDenied,
    TurnStarted,
    TurnWaiting,
)
from agentd.ports.generation import Delta, ModelRequest, TextDelta
from agentd.testing.model import ScriptedModel, calls, question_of, results_of, says
from agentd.testing.pending import MemoryPending, Move
from agentd.testing.tools import Notes
from agentd.turns.execution import UNKNOWN
from agentd.turns.state import rebuilt
from tests.builders import inbound
from tests.fakes import MemoryTurns
from tests.workers.test_agent import House, other
from workers.agent import ledger

FAR = datetime(2100, 1, 1, tzinfo=UTC)
PAST = FAR - timedelta(days=365 * 80)


def noting(request: ModelRequest) -> Iterable[Delta | Exception]:
    """Notes what begins with "note", and tells what came of it; repeats anything else."""
    if results := results_of(request):
        return says(results[-1])
    if (question := question_of(request)).startswith("note "):
        return [TextDelta(text="I will."), *calls(("note", f'{{"text": "{question[5:]}"}}'))]
    return says(question)


class Heard(MemoryPending):
    """Says when it was told something."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def _called(self, move: Move, turn_id: str) -> None:
        self.heard.set()
        super()._called(move, turn_id)


class Office(House):
    """One process with a tool that changes something; `noted` outlives it."""

    def __init__(
        self,
        noted: list[str] | None = None,
        until: datetime | None = FAR,
        pending: MemoryPending | None = None,
        turns: MemoryTurns | None = None,
        note: Callable[[str], object] | None = None,
    ) -> None:
        self.noted = [] if noted is None else noted
        tool = Notes(note or self.noted.append, until=until)
        super().__init__(pending or Heard(), turns, ScriptedModel(noting, tools=True), {tool.name: tool})

    def after_crash(self, until: datetime | None = FAR) -> Office:
        """The process that comes after this one."""
        return Office(self.noted, until, self.pending.after_crash(), self.turns)

    def waiting(self) -> list[TurnWaiting]:
        return [event for event in self.events if isinstance(event, TurnWaiting)]

    async def until_left(self, turns: int = 1) -> None:
        await self.until_made("parked", turns)

    async def until_made(self, move: Move, times: int) -> None:
        """Until the pending directory was told so; nothing on the bus says that."""
        assert isinstance(self.pending, Heard)
        async with asyncio.timeout(60):
            while [made for made, _ in self.pending.moves].count(move) < times:
                self.pending.heard.clear()
                await self.pending.heard.wait()

    async def approve(self, waiting: TurnWaiting) -> None:
        await self.bus.publish(approval(waiting))


def approval(waiting: TurnWaiting) -> ToolCallApproved:
    return ToolCallApproved(
        turn_id=waiting.turn_id, session_id=waiting.session_id, call_id=waiting.call_id, by="the owner"
    )


def denial(waiting: TurnWaiting) -> ToolCallDenied:
    return ToolCallDenied(
        turn_id=waiting.turn_id, session_id=waiting.session_id, call_id=waiting.call_id, by="the owner", reason="no"
    )


async def test_turns_that_wait_take_no_place_of_others() -> None:
    house = Office()
    async with house.running():
        for n in range(3):
            await house.bus.publish(inbound(f"note {n}", session_id=other(n)))
        await house.until_left(3)
        await house.bus.publish(inbound("hello", session_id=other(9)))
        await house.until(lambda: bool(house.answers()))
        assert house.answers() == ["hello"] and house.noted == []
        for waiting in house.waiting():
            await house.approve(waiting)
        await house.until(lambda: len(house.answers()) == 4)
    assert sorted(house.noted) == ["0", "1", "2"]


async def test_later_messages_of_the_session_wait_behind_it() -> None:
    house = Office()
    async with house.running():
        first = inbound("note a")
        await house.bus.publish(first)
        await house.until_left()
        second = inbound("and then?")
        await house.bus.publish(second)
        await house.bus.publish(inbound("hello", session_id=other(9)))
        await house.until(lambda: bool(house.answers()))
        state = house.conversations.of(first.session_id)
        assert (state.running, state.waiting) == (first.id, (second.id,))
        await house.approve(house.waiting()[0])
        await house.until(lambda: len(house.answers()) == 3)
    assert house.answers() == ["hello", "I will.\n\nnoted a", "and then?"] and house.noted == ["a"]


async def test_a_call_that_is_denied_is_told_to_the_model_and_changes_nothing() -> None:
    house = Office()
    async with house.running():
        await house.bus.publish(inbound("note a"))
        await house.until_left()
        await house.bus.publish(denial(house.waiting()[0]))
        await house.until(lambda: bool(house.answers()))
    assert house.answers() == ["I will.\n\nError: no"] and house.noted == []


async def test_of_two_decisions_the_first_counts() -> None:
    house = Office()
    async with house.running():
        await house.bus.publish(inbound("note a"))
        await house.until_left()
        waiting = house.waiting()[0]
        for decision in (denial(waiting), approval(waiting), denial(waiting)):
            await house.bus.publish(decision)
        await house.until(lambda: bool(house.answers()))
    assert house.noted == [] and len(house.answers()) == 1


async def test_a_decision_that_comes_before_the_turn_is_left_is_not_lost() -> None:
    class Hasty(Office):
        def saw(self, event: Event) -> None:
            super().saw(event)
            if isinstance(event, TurnWaiting):
                self.bus.announce(approval(event))

    house = Hasty()
    async with house.running():
        await house.bus.publish(inbound("note a"))
        await house.until(lambda: bool(house.answers()))
    assert house.noted == ["a"] and house.answers() == ["I will.\n\nnoted a"]


@pytest.mark.parametrize("early", [False, True])
async def test_a_decision_that_the_worker_has_no_room_for_counts_all_the_same(early: bool) -> None:
    class Busy(Office):
        def saw(self, event: Event) -> None:
            super().saw(event)
            if early and isinstance(event, TurnWaiting):
                self.overflow(event)

        def overflow(self, waiting: TurnWaiting) -> None:
            """More at once than the worker's queue holds, so that the decision is dropped from it."""
            self.bus.announce(approval(waiting))
            for n in range(300):
                self.bus.announce(approval(waiting.model_copy(update={"session_id": other(9), "call_id": str(n)})))

    house = Busy()
    async with house.running():
        await house.bus.publish(inbound("note a"))
        await house.until_left()
        if not early:
            house.overflow(house.waiting()[0])
        await house.until(lambda: bool(house.answers()))
    assert house.noted == ["a"]


async def test_a_decision_that_does_not_come_in_time_is_a_denial() -> None:
    house = Office(until=PAST)
    async with house.running():
        await house.bus.publish(inbound("note a"))
        await house.until(lambda: bool(house.answers()))
    denied = [event for event in house.events if isinstance(event, ToolCallDenied)]
    assert [event.by for event in denied] == ["agentd"] and house.noted == []
    assert denied[0].id and "2020" in house.answers()[0]


async def test_a_turn_that_waits_can_be_stopped_and_the_session_goes_on() -> None:
    house = Office()
    async with house.running():
        event = inbound("note a")
        await house.bus.publish(event)
        await house.until_left()
        await house.bus.publish(inbound("and then?"))
        assert await house.stop()
        await house.until(lambda: len(house.answers()) == 2)
        await house.approve(house.waiting()[0])
        await house.bus.publish(inbound("the end"))
        await house.until(lambda: len(house.answers()) == 3)
    outcomes = [event.outcome for event in house.events if isinstance(event, OutboundEvent)]
    assert outcomes == ["interrupted", "answer", "answer"] and house.noted == []
    assert house.answers() == ["I will.", "and then?", "the end"]


async def test_a_turn_that_may_go_on_and_has_no_place_yet_can_be_stopped() -> None:
    house = Office()
    async with house.running():
        event = inbound("note a")
        await house.bus.publish(event)
        await house.until_left()
        house.model.gate.clear()
        for n in (1, 2):
            await house.bus.publish(inbound("hello", session_id=other(n)))
        await house.until(lambda: len(house.of(TurnStarted)) == 3)
        await house.approve(house.waiting()[0])
        await house.until_made("stepped", 2)
        assert await house.stop()
        await house.until(lambda: bool(house.answers()))
        assert house.answers() == ["I will."]
        house.model.gate.set()
        await house.until(lambda: len(house.answers()) == 3)
    assert house.noted == []


async def test_draining_waits_for_no_turn_that_waits_and_a_decision_counts_at_the_next_start() -> None:
    house = Office()
    async with house.running() as running:
        await house.bus.publish(inbound("note a"))
        await house.until_left()
        await asyncio.wait_for(house.worker.drain(), 60)
        await asyncio.wait([running], timeout=60)
    after = house.after_crash()
    async with after.running():
        await after.until(lambda: bool(after.waiting()))
        await after.approve(after.waiting()[0])
        await after.until(lambda: bool(after.answers()))
    assert after.noted == ["a"]


# --- restarts -------------------------------------------------------------------------------------------------------


async def left(house: Office) -> InboundEvent:
    """The process dies while a turn waits."""
    event = inbound("note a")
    async with house.running():
        await house.bus.publish(event)
        await house.until_left()
    return event


async def test_a_turn_that_waits_survives_a_restart_and_asks_the_model_nothing_until_then() -> None:
    house = Office()
    event = await left(house)
    after = house.after_crash()
    async with after.running():
        await after.until(lambda: bool(after.waiting()))
        assert after.waiting() == house.waiting()
        await after.bus.publish(inbound("hello", session_id=other(9)))
        await after.until(lambda: bool(after.answers()))
        assert after.conversations.of(event.session_id).running == event.id and after.noted == []
        await after.approve(after.waiting()[0])
        await after.until(lambda: len(after.answers()) == 2)
    assert after.noted == ["a"] and after.answers() == ["hello", "I will.\n\nnoted a"]
    assert len(after.model.requests) == 2, "the model is asked once more with the result, and for the other message"


async def test_a_wait_whose_time_passed_while_nobody_ran_is_over() -> None:
    house = Office(until=datetime.now(UTC) + timedelta(days=1))
    await left(house)
    pending = house.pending.after_crash()
    [(turn_id, steps)] = pending._steps.items()
    late = tuple(step.model_copy(update={"until": PAST}) if isinstance(step, TurnWaiting) else step for step in steps)
    pending._steps[turn_id] = late
    after = Office(house.noted, FAR, pending, house.turns)
    async with after.running():
        await after.until(lambda: bool(after.answers()))
    assert after.noted == [] and "Error" in after.answers()[0]


async def test_a_turn_that_waits_is_never_to_blame_for_the_end_of_a_process() -> None:
    house = Office()
    house.pending.fail("parked", StateError("the disk is full"))
    await left(house)
    after = house.after_crash()
    [turn] = await after.pending.unanswered()
    assert turn.running, "that it was left could not be noted"
    async with after.running():
        await after.until(lambda: bool(after.waiting()))
        hello = inbound("hello", session_id=other(9))
        await after.bus.publish(hello)
        await after.until(lambda: bool(after.answers()))
    assert [turn for move, turn in after.pending.moves if move == "started"] == [hello.id]


async def test_a_turn_that_was_stopped_is_not_left_again_if_the_process_dies_before_its_answer_is_stored() -> None:
    house = Office()
    house.pending.fail("answer", StateError("the disk is full"))
    async with house.running():
        await house.bus.publish(event := inbound("note a"))
        await house.until_left()
        await house.stop()
        await house.until_made("answer", 1)
    _, outbound = house.turns.ended[event.id]
    after = house.after_crash()
    async with after.running():
        await after.until(lambda: bool(after.of(OutboundEvent)))
    assert after.of(OutboundEvent) == [outbound] and not after.waiting()


async def test_a_decision_that_the_disk_refused_ends_with_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "STORE_WAITS", Backoff(first=0.0, longest=0.0))
    house = Office()
    async with house.running() as worker:
        await house.bus.publish(event := inbound("note a"))
        await house.until_left()
        house.pending.fail("stepped", *[StateError("the disk is full")] * 1000)
        await house.approve(house.waiting()[0])
        await house.until_made("stepped", 2)
        await house.stop()
        await house.until(lambda: bool(house.answers()))
        await house.pending.ack(event.id)
        async with asyncio.timeout(60):
            await house.worker.drain()
            await asyncio.wait([worker])
    assert house.noted == []


class Watched(MemoryPending):
    """Keeps what a crash before each move, and around what the tool does, would leave."""

    def __init__(self) -> None:
        super().__init__()
        self.crashes: list[tuple[MemoryPending, list[str], MemoryTurns]] = []
        self.noted: list[str] = []
        self.turns = MemoryTurns()

    def look(self) -> None:
        turns = MemoryTurns()
        turns.ended = dict(self.turns.ended)
        self.crashes.append((self.after_crash(), list(self.noted), turns))

    def note(self, text: str) -> None:
        self.look()
        self.noted.append(text)
        self.look()

    def _called(self, move: Move, turn_id: str) -> None:
        self.look()
        super()._called(move, turn_id)


async def answered(house: Office, turn_id: str) -> None:
    """Approve whatever waits until the turn has ended."""
    approved: set[str] = set()
    async with house.running():
        while turn_id not in house.turns.ended:
            await house.until(
                lambda: turn_id in house.turns.ended or any(one.id not in approved for one in house.waiting())
            )
            for waiting in house.waiting():
                if waiting.id not in approved:
                    approved.add(waiting.id)
                    await house.approve(waiting)


@pytest.mark.parametrize("until", [None, FAR])
async def test_wherever_the_process_dies_the_call_runs_once_at_most_and_the_turn_is_answered(
    until: datetime | None,
) -> None:
    watched, event = Watched(), inbound("note a")
    house = Office(watched.noted, until, watched, watched.turns, watched.note)
    async with house.running():
        await house.bus.publish(event)
    # The worker has begun or not; what it left is answered by another one.
    house = Office(watched.noted, until, watched, watched.turns, watched.note)
    await answered(house, event.id)
    assert watched.noted == ["a"] and len(watched.crashes) >= 8
    outcomes = set()
    for pending, noted, turns in watched.crashes:
        if not await pending.unanswered():
            continue
        before = list(noted)
        await answered(Office(noted, until, pending, turns), event.id)
        calls = [call for each in rebuilt(await pending.steps(event.id)).rounds for call in each.calls]
        [code] = [call.code for call in calls]
        outcomes.add((tuple(before), tuple(noted), code))
    assert outcomes == {
        ((), ("a",), ""),  # it was not begun
        ((), (), UNKNOWN),  # begun, and cut off before it did anything
        (("a",), ("a",), UNKNOWN),  # cut off before its result was noted
        (("a",), ("a",), ""),  # its result was reused
    }
