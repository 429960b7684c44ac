"""The AgentWorker: runs the turns that wait, one at a time in a session, in parallel across sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentd.events import (
    InboundEvent,
    StopRequested,
    ToolCallApproved,
    ToolCallDenied,
    TurnInterrupted,
    TurnPlaced,
    TurnQueued,
    TurnWaiting,
)
from agentd.ports.bus import Bus, Gap
from agentd.ports.clock import Clock
from agentd.ports.conversation import Decision
from agentd.ports.work import PendingTurn
from agentd.turns.conversation import Conversations, position
from agentd.turns.factory import TurnFactory
from agentd.turns.left import LeftTurns
from workers.agent.deadlines import Deadlines
from workers.agent.ledger import Ledger
from workers.agent.places import Places
from workers.agent.runner import MAX_ALONE, Running, TurnRunner

QUIET_SECONDS = 5.0
"""How long the daemon must have lived before a turn with which it died while that ran alone runs alone once more.

If the daemon dies in the meantime, that turn was not to blame: kills and power cuts come at any time, but a poison
message strikes when it runs.
"""


class AgentWorker:
    """Runs at most `concurrency` turns at once; principals take turns, and so do the sessions of each.

    A turn that waits for a decision is left: it counts for none of them, and goes on when that has come.
    """

    def __init__(
        self,
        bus: Bus,
        conversations: Conversations,
        ledger: Ledger,
        turns: TurnFactory,
        *,
        clock: Clock,
        concurrency: int,
    ) -> None:
        self._bus = bus
        self._conversations = conversations
        self._ledger = ledger
        self._left = LeftTurns()
        self._deadlines = Deadlines(self._left, bus, clock)
        self._places = Places(conversations, self._left, concurrency)
        self._runner = TurnRunner(ledger, turns, bus)
        self._recovered: set[str] = set()
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
                await self._follow_events()
                for task in (stops, held, waits):
                    task.cancel()
        finally:
            self._events.close()
            self._stops.close()
            self._group = None

    async def drain(self) -> None:
        """Start no further turn and wait for those that run; what waits stays pending for the next start."""
        self._places.draining = True
        await self._places.until_empty()
        self._events.close()

    # --- what comes ---

    async def _follow_events(self) -> None:
        async for event in self._events:
            if isinstance(event, InboundEvent):
                await self._arrived(event)
            elif isinstance(event, Decision):
                self._decide(event)
            elif isinstance(event, Gap):
                await self._look_for_what_was_missed()

    async def _look_for_what_was_missed(self) -> None:
        await self._control_unanswered(await self._ledger.unanswered())
        for state in list(self._conversations.busy().values()):
            if state.decision is not None:
                self._decide(state.decision)
        self._start_all()

    async def _arrived(self, event: InboundEvent) -> None:
        if event.kind != "message":
            await self._control(event.id, event.session_id)
            return
        self._places.offer(event.session_id)
        self._start_ready()
        running = self._places.of(event.session_id)
        if running is not None and running.turn_id == event.id:
            return
        if waits := position(self._conversations.of(event.session_id), event.id):
            await self._bus.publish(TurnQueued(turn_id=event.id, session_id=event.session_id, position=waits))

    async def _control_unanswered(self, unanswered: Sequence[PendingTurn]) -> None:
        for turn in unanswered:
            if turn.kind != "message":
                await self._control(turn.id, turn.session_id)

    async def _control(self, turn_id: str, session_id: str) -> None:
        """A command or a decision: it waits behind no turn, and never runs as one."""
        if await self._ledger.find(turn_id) is None:
            return  # It was told twice: by the bus, and by the pending directory.
        if (inbound := await self._ledger.question(turn_id, session_id)) is not None:
            await self._ledger.refuse(inbound)

    # --- stops ---

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
        running = self._places.of(session_id) or self._left_to_stop(session_id, turn_id)
        if running is None or running.turn_id != turn_id or running.stopped or running.answered:
            return
        self._bus.announce(TurnInterrupted(turn_id=turn_id, session_id=session_id, reason="stopped by the user"))
        running.stop()

    def _left_to_stop(self, session_id: str, turn_id: str) -> Running | None:
        """A turn that was left only has to end, for which it waits for no place."""
        if self._group is None or not self._left.stop(session_id, turn_id):
            return None
        return self._start(session_id, turn_id)

    # --- what was left by an earlier process ---

    async def _recover(self) -> None:
        """Turns that ran when the process died go first, alone: if one of them is the culprit, it shows itself.

        One that was alone then already is held back until the daemon has lived for a while.
        """
        unanswered = await self._ledger.unanswered()
        questions = [turn for turn in unanswered if turn.kind == "message"]
        self._recovered.update(turn.id for turn in questions)
        self._conversations.recover(questions)
        await self._control_unanswered(unanswered)
        for suspect in await self._recover_left(questions):
            if self._places.draining:
                return
            if 0 < suspect.starts_alone < MAX_ALONE:
                await self._ledger.hold(suspect.id)
                self._places.held[suspect.session_id] = suspect.id
                continue
            await self._run(self._place(suspect.session_id, suspect.id, alone=True))
        self._start_all()

    async def _recover_left(self, unanswered: Sequence[PendingTurn]) -> list[PendingTurn]:
        """Those that wait go on waiting, unless they were stopped; the rest of those that ran when the process died."""
        suspects = []
        for turn in unanswered:
            waiting = (await self._ledger.state(turn)).waiting
            if waiting is not None and await self._ledger.answer(turn.id) is None:
                self._leave(waiting)
                await self._bus.publish(waiting)
            elif turn.running:
                suspects.append(turn)
        return suspects

    async def _run_held(self) -> None:
        """Each alone: nothing else runs meanwhile, and its session waits for it."""
        places = self._places
        if places.held:
            await asyncio.sleep(QUIET_SECONDS)
        for session_id, turn_id in list(places.held.items()):
            places.alone = True
            await places.until_empty()
            if places.draining:
                return
            await self._run(self._place(session_id, turn_id, alone=True))
            del places.held[session_id]
            places.alone = False
            self._start_all()

    # --- turns ---

    def _start_all(self) -> None:
        self._places.offer_all()
        self._start_ready()

    def _start_ready(self) -> None:
        while (following := self._places.next()) is not None:
            self._start(*following)

    def _start(self, session_id: str, turn_id: str) -> Running:
        running = self._place(session_id, turn_id)
        assert self._group is not None
        self._group.create_task(self._run(running), name=f"turn {turn_id}")
        return running

    def _place(self, session_id: str, turn_id: str, *, alone: bool = False) -> Running:
        running = Running(turn_id, session_id, alone=alone, recovered=turn_id in self._recovered)
        self._places.take(running)
        self._bus.announce(TurnPlaced(turn_id=turn_id, session_id=session_id))
        return running

    async def _run(self, running: Running) -> None:
        try:
            if (waiting := await self._runner.run(running)) is not None:
                self._leave(waiting)
        finally:
            self._places.free(running)
        self._places.offer(running.session_id)
        self._start_ready()

    # --- turns that are left ---

    def _leave(self, waiting: TurnWaiting) -> None:
        self._left.leave(waiting)
        self._deadlines.changed()
        if (decision := self._conversations.of(waiting.session_id).decision) is not None:
            self._decide(decision)  # It came before the turn was left.

    def _decide(self, decision: Decision, *, tell: bool = False) -> None:
        """A turn goes on if it waits for this decision."""
        if self._left.decide(decision):
            assert self._group is not None
            self._group.create_task(self._go_on(decision, tell=tell), name=f"decision on {decision.turn_id}")

    async def _go_on(self, decision: Decision, *, tell: bool) -> None:
        """The decision is durable before anything comes of it."""
        await self._ledger.decide(decision)
        if tell:
            await self._bus.publish(decision)
        self._places.go_on(decision.session_id)
        self._start_ready()

    async def _end_waits(self) -> None:
        while True:
            for denial in await self._deadlines.passed():
                self._decide(denial, tell=True)
