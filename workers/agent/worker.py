"""The AgentWorker: runs the turns that wait, one at a time in a session, in parallel across sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentd.errors import Unreadable
from agentd.events import (
    OWNER,
    InboundEvent,
    OutboundEvent,
    StopRequested,
    ToolCallApproved,
    ToolCallDenied,
    TurnFinished,
    TurnInterrupted,
    TurnPlaced,
    TurnQueued,
    TurnStarted,
    TurnWaiting,
)
from agentd.ports.bus import Bus, Gap
from agentd.ports.clock import Clock
from agentd.ports.conversation import Conversation, Decision
from agentd.ports.turns import EndedTurns
from agentd.ports.work import Entry, Work
from agentd.turns.conversation import Conversations, position
from agentd.turns.fair import Ready
from agentd.turns.left import LeftTurns
from agentd.turns.runner import TurnRunner
from agentd.turns.state import BEGUN, TurnState, rebuilt
from agentd.turns.turn import Turn
from workers.agent.outcomes import MAX_ALONE, Outcomes

QUIET_SECONDS = 5.0
"""How long the daemon must have lived before a turn with which it died while that ran alone runs alone once more.

If the daemon dies in the meantime, that turn was not to blame: kills and power cuts come at any time, but a poison
message strikes when it runs.
"""
LOOK_SECONDS = 30.0
"""How often the time of day is looked at while turns wait: it may be set, and the machine may sleep."""


@dataclass(slots=True)
class _Running:
    turn_id: str
    work: asyncio.Task[OutboundEvent | TurnWaiting] | None = None
    stopped: bool = False

    @property
    def answered(self) -> bool:
        """Whether it is too late to stop it."""
        work = self.work
        return work is not None and work.done() and (work.cancelled() or not isinstance(work.result(), TurnWaiting))


class AgentWorker:
    """Runs at most `concurrency` turns at once; principals take turns, and so do the sessions of each.

    A turn that waits for a decision is left: it counts for none of them, and goes on when that has come.

    Messages that came over other `channels` than these are left to a process that runs those.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        pending: Work,
        conversations: Conversations,
        ended: EndedTurns,
        turns: TurnRunner,
        clock: Clock,
        concurrency: int,
        channels: Collection[str],
    ) -> None:
        self._bus = bus
        self._pending = pending
        self._conversations = conversations
        self._ended = ended
        self._turns = turns
        self._outcomes = Outcomes(pending, ended, bus, clock)
        self._clock = clock
        self._concurrency = concurrency
        self._channels = channels
        self._running: dict[str, _Running] = {}
        self._ready = Ready(concurrency)
        self._left = LeftTurns()
        self._left_changed = asyncio.Event()
        self._draining = False
        self._idle = asyncio.Event()
        self._recovered: set[str] = set()
        self._held: dict[str, str] = {}
        """Session -> the turn that waits to run alone."""
        self._alone = False
        self._turn_ended = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._events = bus.subscribe(InboundEvent, ToolCallApproved, ToolCallDenied, name="agent worker")
        self._stops = bus.subscribe(StopRequested, name="agent worker: stops")

    async def run(self) -> None:
        """Recover what was left unfinished, then answer what comes, until cancelled or drained."""
        try:
            async with asyncio.TaskGroup() as self._group:
                stops = self._group.create_task(self._follow_stops(), name="requests to stop")
                await self._recover()
                held = self._group.create_task(self._run_held(), name="turns that wait to run alone")
                waits = self._group.create_task(self._end_waits(), name="waits that are over")
                async for event in self._events:
                    if isinstance(event, Gap):
                        await self._control_unanswered(await self._pending.unanswered(self._channels))
                        self._decide_all()
                        self._rescan()
                    elif isinstance(event, InboundEvent):
                        await self._arrived(event)
                    elif isinstance(event, Decision):
                        self._decide(event)
                for task in (stops, held, waits):
                    task.cancel()
        finally:
            self._events.close()
            self._stops.close()
            self._group = None

    async def _follow_stops(self) -> None:
        """Apart from all else, so that no stop waits behind a turn."""
        async for event in self._stops:
            if isinstance(event, StopRequested):
                self._stop(event.session_id, event.turn_id)
            elif isinstance(event, Gap):
                for session_id, state in list(self._conversations.busy().items()):
                    if state.stopping:
                        self._stop(session_id, state.running or state.placed)

    def _stop(self, session_id: str, turn_id: str) -> None:
        """End this turn, which runs or waits for a decision, and keep what it said; nothing if it is too late."""
        running = self._running.get(session_id) or self._left_to_stop(session_id)
        if running is None or running.turn_id != turn_id or running.stopped or running.answered:
            return
        running.stopped = True
        self._bus.announce(TurnInterrupted(**self._event(turn_id, session_id), reason="stopped by the user"))
        if running.work is not None:
            running.work.cancel()

    def _left_to_stop(self, session_id: str) -> _Running | None:
        """A turn that was left only has to end, for which it needs no place."""
        turn_id = None if self._group is None else self._left.stop(session_id)
        return None if turn_id is None else self._start(session_id, turn_id)

    async def drain(self) -> None:
        """Start no further turn and wait for those that run; what waits stays pending for the next start."""
        self._draining = True
        self._wake_if_idle()
        await self._idle.wait()
        self._events.close()

    def _wake_if_idle(self) -> None:
        if self._draining and not self._running:
            self._idle.set()

    def _event(self, turn_id: str, session_id: str) -> dict[str, Any]:
        return {"turn_id": turn_id, "session_id": session_id}

    # --- what was left by an earlier process ---

    async def _recover(self) -> None:
        """Turns that ran when the process died go first, alone: if one of them is the culprit, it shows itself.

        One that was alone then already is held back until the daemon has lived for a while.
        """
        waiting: dict[str, list[str]] = {}
        unanswered = await self._pending.unanswered(self._channels)
        questions = [entry for entry in unanswered if entry.kind == "message"]
        for entry in questions:
            waiting.setdefault(entry.session_id, []).append(entry.id)
            self._recovered.add(entry.id)
        self._conversations.recover({session: tuple(turns) for session, turns in waiting.items()})
        await self._control_unanswered(unanswered)
        for suspect in await self._recover_left(questions):
            if self._draining:
                return
            if 0 < suspect.starts_alone < MAX_ALONE:
                await self._pending.held(suspect.id)
                self._held[suspect.session_id] = suspect.id
                continue
            running = self._place(suspect.session_id, suspect.id)
            await self._take(suspect.session_id, running, alone=True)
        self._rescan()

    async def _recover_left(self, unanswered: Sequence[Entry]) -> list[Entry]:
        """Those that wait go on waiting; the rest of those that ran when the process died."""
        suspects = []
        for entry in unanswered:
            if (waiting := (await self._state(entry)).waiting) is not None:
                self._leave(waiting)
                await self._bus.publish(waiting)
            elif entry.running:
                suspects.append(entry)
        return suspects

    async def _run_held(self) -> None:
        """Each alone: nothing else runs meanwhile, and its session waits for it."""
        if self._held:
            await asyncio.sleep(QUIET_SECONDS)
        for session_id, turn_id in list(self._held.items()):
            self._alone = True
            while self._running:
                self._turn_ended.clear()
                await self._turn_ended.wait()
            if self._draining:
                return
            running = self._place(session_id, turn_id)
            await self._take(session_id, running, alone=True)
            del self._held[session_id]
            self._alone = False
            self._rescan()

    def _rescan(self) -> None:
        for session_id, state in self._conversations.busy().items():
            self._offer(session_id, state)
        self._start_ready()

    # --- what comes ---

    async def _arrived(self, event: InboundEvent) -> None:
        if event.kind != "message":
            await self._control(event.id, event.session_id)
            return
        state = self._conversations.of(event.session_id)
        self._offer(event.session_id, state)
        self._start_ready()
        if event.session_id in self._running and self._running[event.session_id].turn_id == event.id:
            return
        if place := position(state, event.id):
            await self._bus.publish(TurnQueued(**self._event(event.id, event.session_id), position=place))

    async def _control_unanswered(self, unanswered: Sequence[Entry]) -> None:
        for entry in unanswered:
            if entry.kind != "message":
                await self._control(entry.id, entry.session_id)

    async def _control(self, turn_id: str, session_id: str) -> None:
        """A command or a decision: it waits behind no turn, and never runs as one."""
        if await self._pending.find(turn_id) is None:
            return  # It was told twice: by the bus, and by the pending directory.
        try:
            inbound = await self._outcomes.insist(turn_id, lambda: self._pending.load(turn_id))
        except Unreadable as error:
            await self._outcomes.set_aside(turn_id, session_id, str(error))
            return
        if isinstance(inbound, InboundEvent):
            await self._carry_out(inbound)

    async def _carry_out(self, inbound: InboundEvent) -> None:
        """A command or a decision never runs as a question. Nothing can carry one out yet, so it is put aside."""
        await self._outcomes.bury(inbound, f"this agentd cannot carry out a {inbound.kind}", "not_carried_out")

    def _offer(self, session_id: str, state: Conversation) -> None:
        busy = session_id in self._running or session_id in self._held or session_id in self._left
        if state.waiting and not busy:
            self._ready.put(session_id, state.whose)

    def _start_ready(self) -> None:
        free = not self._draining and not self._alone
        while free and len(self._running) < self._concurrency:
            others = sum(self._conversations.of(session).whose != OWNER for session in self._running)
            if (session_id := self._ready.take(others)) is None:
                return
            if (turn_id := self._next(session_id)) is not None:
                self._start(session_id, turn_id)

    def _next(self, session_id: str) -> str | None:
        """The turn of a session that may run now; one that was stopped meanwhile may not."""
        if session_id in self._running:
            return None
        if (turn_id := self._left.take(session_id)) is not None:
            return turn_id
        waiting = () if session_id in self._left else self._conversations.of(session_id).waiting
        return next(iter(waiting), None)

    def _start(self, session_id: str, turn_id: str) -> _Running:
        running = self._place(session_id, turn_id)
        assert self._group is not None
        self._group.create_task(self._take(session_id, running, alone=False), name=f"turn {turn_id}")
        return running

    def _place(self, session_id: str, turn_id: str) -> _Running:
        self._running[session_id] = running = _Running(turn_id)
        self._bus.announce(TurnPlaced(**self._event(turn_id, session_id)))
        return running

    async def _take(self, session_id: str, running: _Running, *, alone: bool) -> None:
        try:
            await self._run_turn(session_id, running, alone=alone)
        finally:
            del self._running[session_id]
            self._turn_ended.set()
            self._wake_if_idle()
        self._offer(session_id, self._conversations.of(session_id))
        self._start_ready()

    # --- turns that are left ---

    def _leave(self, waiting: TurnWaiting) -> None:
        self._left.leave(waiting)
        self._left_changed.set()
        if (decision := self._conversations.of(waiting.session_id).decision) is not None:
            self._decide(decision)  # It came before the turn was left.

    def _decide_all(self) -> None:
        """The queue may have dropped decisions; the conversations keep them."""
        for state in list(self._conversations.busy().values()):
            if state.decision is not None:
                self._decide(state.decision)

    def _decide(self, decision: Decision, *, tell: bool = False) -> None:
        """A turn goes on if it waits for this decision."""
        if self._left.decide(decision):
            assert self._group is not None
            self._group.create_task(self._go_on(decision, tell=tell), name=f"decision on {decision.turn_id}")

    async def _go_on(self, decision: Decision, *, tell: bool) -> None:
        """The decision is durable before anything comes of it."""
        turn_id, session_id = decision.turn_id, decision.session_id
        await self._outcomes.insist(turn_id, lambda: self._pending.stepped(turn_id, [decision], durable=True))
        if tell:
            await self._bus.publish(decision)
        if session_id in self._left:
            self._ready.put(session_id, self._conversations.of(session_id).whose)
            self._start_ready()

    async def _end_waits(self) -> None:
        """A decision that does not come in time is a denial."""
        while True:
            self._left_changed.clear()
            for waiting in self._left.over(self._clock.now()):
                self._decide(self._denied(waiting), tell=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_again()):
                    await self._left_changed.wait()

    def _denied(self, waiting: TurnWaiting) -> ToolCallDenied:
        return self._bus.stamped(
            ToolCallDenied(
                **self._event(waiting.turn_id, waiting.session_id),
                call_id=waiting.call_id,
                by="agentd",
                reason=f"Nobody decided on this call until {waiting.until.isoformat(timespec='seconds')}.",
            )
        )

    def _look_again(self) -> float | None:
        until = self._left.until()
        if until is None:
            return None
        return min(LOOK_SECONDS, max(0.0, (until - self._clock.now()).total_seconds()))

    async def _state(self, entry: Entry) -> TurnState:
        """What earlier runs of a turn have done."""
        if not entry.stepped:
            return BEGUN
        return rebuilt(await self._outcomes.insist(entry.id, lambda: self._pending.steps(entry.id)))

    # --- one turn ---

    async def _run_turn(self, session_id: str, running: _Running, *, alone: bool) -> None:
        turn_id = running.turn_id
        try:
            inbound = await self._outcomes.insist(turn_id, lambda: self._pending.load(turn_id))
        except Unreadable as error:
            await self._outcomes.set_aside(turn_id, session_id, str(error))
            return
        if not isinstance(inbound, InboundEvent):
            return
        if inbound.kind != "message":  # Its file told no kind, as those of version 1.
            await self._carry_out(inbound)
            return
        if turn_id in self._recovered:  # nobody in this life was told the question yet
            self._bus.announce(inbound)
        if alone and (entry := await self._pending.find(turn_id)) and entry.starts_alone >= MAX_ALONE:
            reason = f"agentd died {MAX_ALONE} times while it answered this message alone"
            await self._outcomes.bury(inbound, reason, "poison")
            return
        if turn_id in self._recovered and (outbound := await self._ended.finished(turn_id)) is not None:
            await self._persist(self._bus.publish, outbound)
            return
        started = await self._outcomes.insist(turn_id, lambda: self._pending.started(turn_id, alone=alone))
        await self._bus.publish(TurnStarted(**self._event(turn_id, session_id), attempt=started.starts))
        turn = self._turns.begin(inbound, started.starts, await self._state(started))
        try:
            outcome = await self._answer(turn, running)
        except asyncio.CancelledError:
            await self._outcomes.park(turn_id)
            raise
        if isinstance(outcome, TurnWaiting):
            await self._outcomes.park(turn_id)
            if not running.stopped:
                self._leave(outcome)
                return
            outcome = turn.interrupted()
        await self._end(inbound, outcome)

    async def _answer(self, turn: Turn, running: _Running) -> OutboundEvent | TurnWaiting:
        running.work = asyncio.create_task(turn.run(), name=f"answer {running.turn_id}")
        if running.stopped:
            running.work.cancel()
        try:
            return await running.work
        except asyncio.CancelledError:
            if running.stopped and running.work.cancelled():
                return turn.interrupted()
            raise

    async def _end(self, inbound: InboundEvent, outbound: OutboundEvent) -> None:
        """The end of the turn, in this order: one transaction, then the answer's file, then the news."""

        async def transaction(event: OutboundEvent) -> None:
            await self._ended.finish([inbound], event)

        await self._persist(transaction, outbound)
        await self._persist(self._bus.publish, outbound)
        await self._bus.publish(
            TurnFinished(**self._event(inbound.turn_id, inbound.session_id), outcome=outbound.outcome)
        )

    async def _persist(self, store: Callable[[OutboundEvent], Awaitable[None]], outbound: OutboundEvent) -> None:
        """An answer that was made is never thrown away, nor made twice."""
        await self._outcomes.insist(outbound.turn_id, lambda: store(outbound))
