"""One turn, from its file to its durable end, or until it is left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentd.events import InboundEvent, OutboundEvent, TurnStarted, TurnWaiting
from agentd.ports.bus import Bus
from agentd.turns.factory import TurnFactory
from agentd.turns.turn import Turn
from workers.agent.ledger import Ledger

MAX_ALONE = 3
"""How often a turn may take the daemon down while it runs alone before it is put aside."""


@dataclass(slots=True, eq=False)
class Running:
    """A turn that has its place. `recovered`: an earlier process left it; `work` makes its answer."""

    turn_id: str
    session_id: str
    alone: bool = False
    recovered: bool = False
    stopped: bool = False
    work: asyncio.Task[OutboundEvent | TurnWaiting] | None = None

    @property
    def answered(self) -> bool:
        """Whether it is too late to stop it."""
        work = self.work
        return work is not None and work.done() and (work.cancelled() or not isinstance(work.result(), TurnWaiting))

    def stop(self) -> None:
        """What it has said until now becomes its answer."""
        self.stopped = True
        if self.work is not None:
            self.work.cancel()


class TurnRunner:
    """Runs turns that have their places."""

    def __init__(self, ledger: Ledger, turns: TurnFactory, bus: Bus) -> None:
        self._ledger = ledger
        self._turns = turns
        self._bus = bus

    async def run(self, running: Running) -> TurnWaiting | None:
        """None when the turn has ended; what it waits for if it is left."""
        turn_id, session_id = running.turn_id, running.session_id
        inbound = await self._ledger.question(turn_id, session_id)
        if inbound is None or await self._ended(inbound, running):
            return None
        started = await self._ledger.start(turn_id, alone=running.alone)
        await self._ledger.make_way(inbound)
        await self._bus.publish(TurnStarted(turn_id=turn_id, session_id=session_id, attempt=started.starts))
        turn = self._turns.begin(inbound, started.starts, await self._ledger.state(started))
        try:
            outcome = await self._answer(turn, running)
        except asyncio.CancelledError:
            await self._ledger.park(turn_id)
            raise
        if isinstance(outcome, TurnWaiting):
            await self._ledger.park(turn_id)
            if not running.stopped:
                return outcome
            outcome = turn.interrupted()
        await self._ledger.end(inbound, outcome)
        return None

    async def _ended(self, inbound: InboundEvent, running: Running) -> bool:
        """Whether it ended without being run: it is no question, or poison, or was answered before a crash.

        The file of a message that was refused may come back with a power cut, although it was removed.
        """
        if inbound.kind != "message":  # Its file told no kind, as those of version 1.
            await self._ledger.refuse(inbound)
            return True
        if running.recovered:
            self._bus.announce(inbound)  # Nobody in this life was told the question yet.
            if other := await self._ledger.repeated(inbound):
                await self._ledger.bury_repeated(inbound, other)
                return True
        if running.alone and (turn := await self._ledger.find(inbound.id)) and turn.starts_alone >= MAX_ALONE:
            reason = f"agentd died {MAX_ALONE} times while it answered this message alone"
            await self._ledger.bury(inbound, reason, "poison")
            return True
        if running.recovered and (outbound := await self._ledger.answer(inbound.id)) is not None:
            await self._ledger.publish(outbound)
            return True
        return False

    async def _answer(self, turn: Turn, running: Running) -> OutboundEvent | TurnWaiting:
        running.work = asyncio.create_task(turn.run(), name=f"answer {running.turn_id}")
        if running.stopped:
            running.work.cancel()
        try:
            return await running.work
        except asyncio.CancelledError:
            if running.stopped and running.work.cancelled():
                return turn.interrupted()
            raise
