"""The figures of a running daemon: whether it is well, and if not, what to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from agentd.delivery import Delivering, DeliveryStats
from agentd.errors import StateError
from agentd.ids import time_of
from agentd.ports.documents import Counted
from agentd.ports.models import EXTRACTIVE, Paced, Standing
from agentd.ports.status import (
    ChannelFigures,
    DaemonFigures,
    DeliveryFigures,
    DocumentFigures,
    ModelFigures,
    PendingFigures,
    StatusReport,
    TurnFigures,
    UsageFigures,
)
from agentd.records import OWNER, Principal
from agentd.rights import may
from agentd.status.channels import ChannelStates
from agentd.status.stored import Stored
from agentd.status.usage import UsageTotals
from agentd.turns.conversation import Conversations

REASONS = 10
"""How many reasons of dead letters are listed, the most frequent first."""
NO_DOCUMENTS = DocumentFigures(documents=0, chunks=0)
NOTHING_LIES: tuple[int, Counter[str], int] = (0, Counter(), 0)
EXTRACTIVE_NOTE = "no language model is chosen; answers are sentences of your documents"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the bus has told since the start; each field is one of its reducers."""

    conversations: Conversations = field(default_factory=Conversations)
    channels: ChannelStates = field(default_factory=ChannelStates)
    usage: UsageTotals = field(default_factory=UsageTotals)


class DaemonStatus:
    """Implements `ports.status.Status`."""

    def __init__(
        self,
        *,
        daemon: DaemonFigures,
        stored: Stored,
        told: Told,
        documents: Counted,
        model: Standing,
        delivery: Delivering,
    ) -> None:
        self._daemon = daemon
        self._stored = stored
        self._told = told
        self._documents = documents
        self._model = model
        self._delivery = delivery

    async def snapshot(self, principal: Principal) -> StatusReport:
        """See `ports.status.Status`."""
        return await self._whole() if may(principal, "administer") else await self._public(principal)

    async def _public(self, principal: Principal) -> StatusReport:
        """The figures for everybody but the owner."""
        unread: list[str] = []
        documents = await _or_else(NO_DOCUMENTS, self._documents_of(principal), unread)
        _, dead, corrupt = await _or_else(NOTHING_LIES, self._stored.lying_there(), unread)
        problems = unread or await self.refusals() or self._problems(self._delivery.stats(), dead.total(), corrupt)
        note = "no language model is chosen" if self._model.name == EXTRACTIVE else self._model.state
        return StatusReport(
            daemon=DaemonFigures(
                version=self._daemon.version, pid=self._daemon.pid, in_process=self._daemon.in_process
            ),
            model=ModelFigures(name=self._model.name, note=note),
            yours=documents,
            problems=("some things need the owner's attention",) if problems else (),
        )

    async def _documents_of(self, principal: Principal) -> DocumentFigures:
        documents, chunks = await self._documents.counts(principal)
        return DocumentFigures(documents=documents, chunks=chunks)

    async def _whole(self) -> StatusReport:
        refusals = await self.refusals()
        unread: list[str] = []
        documents = await _or_else(NO_DOCUMENTS, self._documents_of(OWNER), unread)
        free, dead, corrupt = await _or_else(NOTHING_LIES, self._stored.lying_there(), unread)
        pending, stats = self._stored.pending, self._delivery.stats()
        counts, oldest = await pending.counts(), await pending.oldest(1)
        return StatusReport(
            daemon=self._daemon.model_copy(update={"free_mb": free // 1_000_000}),
            model=self._model_figures(),
            documents=documents,
            turns=self._turns(),
            usage=UsageFigures(answers=self._told.usage.answers, **self._told.usage.total.model_dump()),
            pending=PendingFigures(
                accepts=not refusals,
                unanswered=counts.unanswered,
                undelivered=counts.undelivered,
                deferred=stats.deferred,
                oldest_age=max(0.0, time.time() - time_of(oldest[0].id)) if oldest else None,
                dead=dead.total(),
                corrupt=corrupt,
                dead_by_reason=dict(dead.most_common(REASONS)),
            ),
            channels=tuple(
                ChannelFigures(
                    name=name,
                    state=state.state,
                    reason=state.reason,
                    address=state.address,
                    delivery=_figures(stats, name),
                )
                for name, state in sorted(self._told.channels.latest.items())
            ),
            problems=(*refusals, *unread, *self._problems(stats, dead.total(), corrupt)),
        )

    def _turns(self) -> TurnFigures:
        busy = self._told.conversations.busy().values()
        running, waiting = sum(bool(state.running) for state in busy), sum(len(state.waiting) for state in busy)
        return TurnFigures(running=running, waiting=waiting)

    def _model_figures(self) -> ModelFigures:
        """Tokens per second are None until they are known."""
        pace = self._model.pace if isinstance(self._model, Paced) else None
        return ModelFigures(
            name=self._model.name,
            note=self._model_note(),
            read_tps=pace.read or None if pace else None,
            write_tps=pace.write or None if pace else None,
        )

    async def refusals(self) -> list[str]:
        """Why messages are refused or cannot be answered at the moment; empty if all is well."""
        return await self._stored.refusals()

    def _model_note(self) -> str:
        if self._model.name == EXTRACTIVE:
            return EXTRACTIVE_NOTE
        return self._model.problem or "; ".join(filter(None, (self._model.state, self._model.note)))

    def _problems(self, stats: DeliveryStats, dead: int, corrupt: int) -> list[str]:
        problems = []
        if self._model.problem:
            problems.append(f"model {self._model.name}: {self._model.problem}")
        for name, state in sorted(self._told.channels.latest.items()):
            if state.state in ("degraded", "down"):
                problems.append(f"channel {name} is {state.state}: {state.reason}")
        for name, lanes in sorted(stats.channels.items()):
            if lanes.breaker_open:
                error = stats.last[name].error if name in stats.last else "it keeps failing"
                problems.append(f"channel {name} accepts nothing, so only a probe is sent now and then: {error}")
        if dead:
            waiting = "1 dead letter waits" if dead == 1 else f"{dead} dead letters wait"
            problems.append(f"{waiting} for a decision: `agentd delivery list`")
        if corrupt:
            lie = "1 file was damaged and lies" if corrupt == 1 else f"{corrupt} files were damaged and lie"
            problems.append(f"{lie} in corrupt/; the log says why: look at it, then remove it")
        return problems


def _figures(stats: DeliveryStats, channel: str) -> DeliveryFigures:
    """What one channel still has to deliver, and how its last deliveries went."""
    lanes, last = stats.channels.get(channel), stats.last.get(channel)
    return DeliveryFigures(
        waiting=lanes.waiting if lanes else 0,
        in_flight=lanes.in_flight if lanes else 0,
        unconfirmed=lanes.unconfirmed if lanes else 0,
        deferred=lanes.deferred if lanes else 0,
        oldest_age=lanes.oldest_age if lanes else None,
        breaker_open=lanes.breaker_open if lanes else False,
        last_delivered=last.delivered if last else None,
        last_failed=last.failed if last else None,
        last_error=last.error if last else "",
    )


async def _or_else(otherwise: T, reading: Awaitable[T], problems: list[str]) -> T:
    """What is read; if that is not possible, `otherwise`, and the problems say why."""
    try:
        return await reading
    except StateError as error:
        problems.append(str(error).rstrip("."))
        return otherwise
