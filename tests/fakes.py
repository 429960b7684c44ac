"""Fakes that only our own tests need: the record of ended turns, and documents that are a list."""

from __future__ import annotations

from collections.abc import Sequence

from agentd.bus.bus import EventBus
from agentd.errors import NotFound
from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.sessions import Branch, History, SessionInfo, StoredMessage
from agentd.ports.turns import FinishedTurn
from agentd.records import Passage, Principal
from agentd.storage.history import without_notice
from agentd.testing.clock import FakeClock
from agentd.testing.pending import MemoryPending
from agentd.tools.registry import Tools
from agentd.tools.sources import Sources
from agentd.turns.execution import Execution, ToolLimits
from agentd.turns.journal import Journal
from agentd.turns.news import News
from agentd.turns.preparation import Preparation
from agentd.turns.state import BEGUN
from tests.builders import IDS, TIME


class MemoryTurns:
    """Implements `ports.EndedTurns` and `ports.SessionView` in memory; `faults` are raised by `finish`, one each."""

    def __init__(self) -> None:
        self.ended: dict[str, tuple[InboundEvent, OutboundEvent]] = {}
        self.faults: list[Exception] = []
        self.steps: list[str] = []

    async def finish(self, inbounds: Sequence[InboundEvent], outbound: OutboundEvent) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.steps.append("transaction")
        for inbound in inbounds:
            self.ended.setdefault(inbound.turn_id, (inbound, outbound))

    async def finished(self, turn_id: str) -> OutboundEvent | None:
        pair = self.ended.get(turn_id)
        return pair[1] if pair else None

    async def by_dedupe_key(self, key: str) -> FinishedTurn | None:
        for inbound, outbound in self.ended.values():
            if inbound.dedupe_key == key:
                return FinishedTurn(
                    turn_id=inbound.turn_id,
                    session_id=inbound.session_id,
                    content_digest=inbound.content_digest,
                    outbound=outbound,
                )
        return None

    async def branches(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[Branch]:
        return ()

    async def question(self, principal: Principal, session_id: str, turn_id: str) -> str:
        known = self.ended.get(turn_id)
        if known is None or known[0].session_id != session_id:
            raise NotFound("there is no such question.")
        return known[0].text

    async def make_way(self, inbound: InboundEvent) -> None:
        """What is shown is all that there is here."""

    async def reopen(self, inbound: InboundEvent) -> None:
        self.ended.pop(inbound.turn_id, None)

    async def purge(self) -> int:
        return 0

    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]:
        lines = []
        for inbound, outbound in self.ended.values():
            if inbound.session_id == session_id:
                lines.append(StoredMessage(turn_id=inbound.turn_id, role="user", text=inbound.text, time=TIME))
                answer = StoredMessage(
                    turn_id=inbound.turn_id, role="assistant", text=outbound.text, time=TIME, notice=outbound.notice
                )
                lines.append(answer)
        return [said for line in lines[-limit:] if (said := without_notice(line)).text]

    async def open(self, principal: Principal, ref: str | None) -> SessionInfo:
        raise NotFound("no sessions here")

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]:
        return []

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        """Nothing is ever unread here."""

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]:
        return await self.context(session_id, limit=limit)


class ListedDocuments:
    """Finds all of its passages for every question."""

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages
        self.questions: list[str] = []

    async def search(self, question: str, principal: Principal, *, limit: int = 8) -> Sequence[Passage]:
        self.questions.append(question)
        return self.passages[:limit]

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return len(self.passages), len(self.passages)


def prepared_from(documents: ListedDocuments, history: History) -> Preparation:
    """Looks up four of these documents at most."""
    return Preparation(documents, documents, history, limit=4, first_text=8.0)


def execution_of(
    event: InboundEvent, tools: Tools, limits: ToolLimits, sources: Sources, bus: EventBus, pending: MemoryPending
) -> tuple[Execution, Journal]:
    """What runs the calls of a turn, and the journal in which it notes them."""
    journal = Journal(pending, bus, BEGUN)
    news = News(bus, IDS, FakeClock(TIME), event, 1)
    execution = Execution(tools=tools, limits=limits, inbound=event, sources=sources, journal=journal, news=news)
    return execution, journal
