"""What the disk says of turns, and what became of each: written down, however long the disk refuses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from agentd.delivery.backoff import Backoff
from agentd.errors import AgentdError, Unreadable
from agentd.events import Buried, InboundEvent, OutboundEvent, TurnFinished
from agentd.ids import following
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.conversation import Decision
from agentd.ports.turns import EndedTurns
from agentd.ports.work import PendingTurn, Work
from agentd.turns.state import BEGUN, TurnState, rebuilt

log = logging.getLogger(__name__)

T = TypeVar("T")

STORE_WAITS = Backoff(first=1.0, longest=30.0)
"""Between attempts to write on a disk that refuses it."""
NOT_CARRIED_OUT = "this version of agentd cannot carry it out; one that can does so after `agentd delivery retry {id}`"


class Ledger:
    """All that the AgentWorker reads and writes in the pending directory and the record of ended turns.

    Questions that came over other `channels` than these are left to a process that runs those.
    """

    def __init__(self, pending: Work, ended: EndedTurns, bus: Bus, clock: Clock, channels: Collection[str]) -> None:
        self._pending = pending
        self._ended = ended
        self._bus = bus
        self._clock = clock
        self._channels = channels

    # --- what there is ---

    async def unanswered(self) -> Sequence[PendingTurn]:
        return await self._pending.unanswered(self._channels)

    async def find(self, turn_id: str) -> PendingTurn | None:
        return await self._pending.find(turn_id)

    async def question(self, turn_id: str, session_id: str) -> InboundEvent | None:
        """What was asked; None if it has its answer, or if its file is bad, which is set aside then."""
        try:
            event = await self._insist(turn_id, lambda: self._pending.load(turn_id))
        except Unreadable as error:
            await self._set_aside(turn_id, session_id, str(error))
            return None
        return event if isinstance(event, InboundEvent) else None

    async def state(self, turn: PendingTurn) -> TurnState:
        """What earlier runs of a turn have done."""
        if not turn.stepped:
            return BEGUN
        return rebuilt(await self._insist(turn.id, lambda: self._pending.steps(turn.id)))

    async def answer(self, turn_id: str) -> OutboundEvent | None:
        """How the turn ended, if it did before its answer got its file."""
        return await self._insist(turn_id, lambda: self._ended.finished(turn_id))

    async def repeated(self, inbound: InboundEvent) -> str:
        """The turn that has answered the same message since; "" if there is none."""
        ended = await self._insist(inbound.turn_id, lambda: self._ended.by_dedupe_key(inbound.dedupe_key))
        return "" if ended is None or ended.turn_id == inbound.turn_id else ended.turn_id

    # --- a turn while it runs ---

    async def hold(self, turn_id: str) -> None:
        """It waits to run alone: it is not to blame if the process dies until then. If that cannot be noted, it waits
        again after that.
        """
        try:
            await self._pending.held(turn_id)
        except AgentdError as error:
            log.error("turn %s: that it is held could not be noted: %s", turn_id, error)

    async def start(self, turn_id: str, *, alone: bool) -> PendingTurn:
        return await self._insist(turn_id, lambda: self._pending.started(turn_id, alone=alone))

    async def make_way(self, inbound: InboundEvent) -> None:
        """What comes before the turn that it replaces is what its prompt holds."""
        if inbound.replaces:
            await self._insist(inbound.turn_id, lambda: self._ended.make_way(inbound))

    async def decide(self, decision: Decision) -> None:
        """Writes nothing if the turn has ended meanwhile, because it was stopped."""
        turn_id = decision.turn_id

        async def write() -> None:
            turn = await self._pending.find(turn_id)
            if turn is not None and not turn.outbound_id:
                await self._pending.stepped(turn_id, [decision], durable=True)

        await self._insist(turn_id, write)

    async def park(self, turn_id: str) -> None:
        """It is left, or the process ends in good order. Whoever blames it later only has it run alone."""
        try:
            await self._pending.parked(turn_id)
        except AgentdError as error:
            log.error("turn %s: that it was parked could not be noted: %s", turn_id, error)

    # --- how it ends ---

    async def end(self, inbound: InboundEvent, outbound: OutboundEvent) -> None:
        """In this order: one transaction, then the answer's file, then the news."""
        await self._insist(outbound.turn_id, lambda: self._ended.finish([inbound], outbound))
        await self.publish(outbound)
        await self._bus.publish(
            TurnFinished(turn_id=inbound.turn_id, session_id=inbound.session_id, outcome=outbound.outcome)
        )

    async def publish(self, outbound: OutboundEvent) -> None:
        """An answer that was made is never thrown away, nor made twice."""
        await self._insist(outbound.turn_id, lambda: self._bus.publish(outbound))

    async def refuse(self, inbound: InboundEvent) -> None:
        """A command or a decision, which never runs as a question. Nothing can carry one out yet."""
        await self.bury(inbound, NOT_CARRIED_OUT.format(id=inbound.id), "not_carried_out")

    async def bury(self, inbound: InboundEvent, reason: str, code: str) -> None:
        """It is buried, and its sender is told."""
        notice = OutboundEvent(
            id=following(inbound.turn_id),
            time=self._clock.now(),
            turn_id=inbound.turn_id,
            session_id=inbound.session_id,
            principal=inbound.principal,
            address=inbound.address,
            answers=(),
            in_reply_to=inbound.message_id,
            outcome="error",
            text=f"This {inbound.kind} was put aside: {reason}. `agentd delivery show {inbound.id}` shows it.",
            error_code=code,
        )
        await self._insist(inbound.turn_id, lambda: self._ended.finish([inbound], notice))
        await self._bury(inbound, reason, notice)

    async def bury_repeated(self, inbound: InboundEvent, other: str) -> None:
        """Its sender was told that it was refused, and has the answer of the turn `other`."""
        log.error("turn %s is not run: its message was answered as %s", inbound.turn_id, other)
        await self._bury(inbound, f"it was refused, and answered as {other} when it came again", None)

    async def _bury(self, inbound: InboundEvent, reason: str, notice: OutboundEvent | None) -> None:
        await self._insist(inbound.turn_id, lambda: self._pending.bury(inbound.turn_id, reason, notice))
        await self._bus.publish(
            Buried(turn_id=inbound.turn_id, session_id=inbound.session_id, dead_id=inbound.id, reason=reason)
        )

    async def _set_aside(self, turn_id: str, session_id: str, reason: str) -> None:
        """One bad file harms one turn, and its sender is told."""
        log.error("turn %s cannot be answered: %s", turn_id, reason)
        await self._insist(turn_id, lambda: self._pending.set_aside(turn_id, reason))
        await self._bus.publish(Buried(turn_id=turn_id, session_id=session_id, dead_id=turn_id, reason=reason))

    async def _insist(self, turn_id: str, work: Callable[[], Awaitable[T]]) -> T:
        """Repeat until the disk takes it, or says that it never will (`Unreadable`)."""
        failures = 0
        while True:
            try:
                return await work()
            except Unreadable:
                raise
            except (AgentdError, OSError) as error:
                wait = STORE_WAITS.ceiling(failures)
                log.error("turn %s waits for the disk (%s); again in %g s", turn_id, error, wait)
                await asyncio.sleep(wait)
                failures += 1
