"""A pending directory in memory: the same moves and the same index, with faults on request and simulated crashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from agentd.errors import NotAccepted, StateError
from agentd.events import InboundEvent, OutboundEvent, StepEvent
from agentd.pending.aside import notice
from agentd.pending.file import header_of
from agentd.ports.work import Counts, Ended, PendingTurn

Move = Literal[
    "accept",
    "answer",
    "ack",
    "defer",
    "bury",
    "set_aside",
    "started",
    "held",
    "parked",
    "sending",
    "part_done",
    "stepped",
    "load",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    event: InboundEvent | OutboundEvent
    reason: str


class MemoryPending:
    """Implements `ports.Pending`, `ports.Progress` and `ports.WorkList`.

    `moves` lists the calls with their ids, in order; `dead` has what was buried, by its own id, and `corrupt` what was
    set aside.
    """

    def __init__(self) -> None:
        self.moves: list[tuple[Move, str]] = []
        self.dead: dict[str, DeadLetter] = {}
        self.corrupt: dict[str, DeadLetter] = {}
        self._turns: dict[str, PendingTurn] = {}
        self._events: dict[str, InboundEvent | OutboundEvent] = {}
        self._steps: dict[str, tuple[StepEvent, ...]] = {}
        self._faults: dict[Move, deque[Exception]] = {}

    def fail(self, move: Move, *errors: Exception) -> None:
        """The next calls of this move raise these errors, one each."""
        self._faults.setdefault(move, deque()).extend(errors)

    def after_crash(self) -> MemoryPending:
        """The directory after a restart: everything pending, in order, without this process's faults and counts."""
        found = MemoryPending()
        found._turns = dict(sorted(self._turns.items()))
        found._events = dict(self._events)
        found._steps = dict(self._steps)
        found.dead = dict(self.dead)
        return found

    async def unanswered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]:
        return [turn for turn in self._of(channels) if not turn.outbound_id]

    async def undelivered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]:
        return [turn for turn in self._of(channels) if turn.outbound_id]

    async def oldest(self, limit: int) -> Sequence[PendingTurn]:
        return self._of(None)[:limit]

    async def find(self, id: str) -> PendingTurn | None:
        answers = (turn for turn in self._turns.values() if turn.outbound_id == id)
        return self._turns.get(id) or next(answers, None)

    async def by_key(self, key: str) -> PendingTurn | None:
        return next((turn for turn in self._of(None) if turn.dedupe_key == key), None) if key else None

    async def counts(self) -> Counts:
        undelivered = len(await self.undelivered())
        return Counts(unanswered=len(self._turns) - undelivered, undelivered=undelivered)

    async def load(self, turn_id: str) -> InboundEvent | OutboundEvent:
        self._turn("load", turn_id)
        return self._events[turn_id]

    def begin(self, event: InboundEvent | OutboundEvent, ended: Ended) -> None:
        try:
            if isinstance(event, OutboundEvent) and event.answers:
                self._answer(event)
            else:
                self._accept(event)
        # The caller gets it.
        except Exception as error:
            ended(error)
        else:
            ended(None)

    async def accept(self, event: InboundEvent | OutboundEvent) -> None:
        self._accept(event)

    async def answer(self, event: OutboundEvent) -> None:
        self._answer(event)

    def _accept(self, event: InboundEvent | OutboundEvent) -> None:
        self._called("accept", event.id)
        if event.id in self._turns:
            raise NotAccepted(f"{event.id} is pending already: give every event an id of its own")
        self._insert(event.id, event)

    def _answer(self, event: OutboundEvent) -> None:
        self._called("answer", event.turn_id)
        for turn_id in event.answers:
            if turn_id != event.turn_id:
                self._remove(turn_id)
        self._insert(event.turn_id, event)

    async def ack(self, turn_id: str) -> None:
        self._turn("ack", turn_id)
        self._remove(turn_id)

    async def defer(
        self, turn_id: str, *, until: datetime | None, attempt: int, error: str, uncertain: bool = False
    ) -> PendingTurn:
        changes = {"sending": uncertain, "not_before": until, "attempts": attempt, "last_error": error}
        return self._note("defer", turn_id, **changes)

    async def bury(self, turn_id: str, reason: str, notice: OutboundEvent | None = None) -> None:
        self._turn("bury", turn_id)
        event = self._events[turn_id]
        self.dead[event.id] = DeadLetter(event=event, reason=reason)
        self._remove(turn_id)
        if notice is not None:
            self._insert(notice.id, notice)

    async def retry(self, dead_id: str) -> PendingTurn:
        event = self.dead.pop(dead_id).event
        name = event.turn_id if isinstance(event, OutboundEvent) and event.answers else event.id
        self._insert(name, event)
        return self._put(replace(self._turns[name], retried=datetime.now(UTC)))

    async def set_aside(self, turn_id: str, why: str) -> None:
        turn = self._turn("set_aside", turn_id)
        event = self._events[turn_id]
        self.corrupt[event.id] = DeadLetter(event=event, reason=why)
        self._remove(turn_id)
        if (told := notice(turn, event.time)) is not None:
            self._insert(told.id, told)

    async def started(self, turn_id: str, *, alone: bool) -> PendingTurn:
        turn = self._turn("started", turn_id)
        in_a_row = turn.starts_alone + 1 if alone else 0
        return self._put(replace(turn, starts=turn.starts + 1, running=True, starts_alone=in_a_row))

    async def held(self, turn_id: str) -> PendingTurn:
        return self._note("held", turn_id, running=False)

    async def parked(self, turn_id: str) -> PendingTurn:
        return self._note("parked", turn_id, running=False, starts_alone=0)

    async def sending(self, turn_id: str, parts: Sequence[str] | None = None) -> PendingTurn:
        turn = self._turn("sending", turn_id)
        return self._put(replace(turn, sending=True, parts=turn.parts or tuple(parts or ())))

    async def part_done(self, turn_id: str, n: int) -> PendingTurn:
        turn = self._turn("part_done", turn_id)
        return self._put(replace(turn, parts_done=max(turn.parts_done, n + 1)))

    def _note(self, move: Move, turn_id: str, **changes: Any) -> PendingTurn:
        return self._put(replace(self._turn(move, turn_id), **changes))

    def _put(self, turn: PendingTurn) -> PendingTurn:
        self._turns[turn.id] = turn
        return turn

    def _of(self, channels: Collection[str] | None) -> list[PendingTurn]:
        return [turn for turn in self._turns.values() if channels is None or turn.address.channel in channels]

    async def stepped(self, turn_id: str, steps: Sequence[StepEvent], *, durable: bool) -> None:
        self._note("stepped", turn_id, stepped=True)
        self._steps[turn_id] = (*self._steps.get(turn_id, ()), *steps)

    async def steps(self, turn_id: str) -> Sequence[StepEvent]:
        return self._steps.get(turn_id, ())

    def _called(self, move: Move, turn_id: str) -> None:
        self.moves.append((move, turn_id))
        if faults := self._faults.get(move):
            raise faults.popleft()

    def _turn(self, move: Move, turn_id: str) -> PendingTurn:
        self._called(move, turn_id)
        turn = self._turns.get(turn_id)
        if turn is None:
            raise StateError(f"{turn_id} is not pending: it was acked or buried before")
        return turn

    def _insert(self, name: str, event: InboundEvent | OutboundEvent) -> None:
        in_order = name in self._turns or name > next(reversed(self._turns), "")
        self._events[name] = event
        self._turns[name] = header_of(event).turn()
        if not in_order:
            self._turns = dict(sorted(self._turns.items()))

    def _remove(self, name: str) -> None:
        self._turns.pop(name, None)
        self._events.pop(name, None)
        self._steps.pop(name, None)
