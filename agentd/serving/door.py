"""What one channel is given of the house: nothing passes its door without a look at who asks for what.

A channel speaks only for the principals that it got here. What it accepts lands in a session of that principal, with an
address of its own, and belongs to whose session it is. Each method does what its namesake behind the door does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from agentd.bus.feed import LiveFeed
from agentd.errors import NotFound, UsageError
from agentd.events import Event, InboundEvent
from agentd.ports.channels import Deliveries, Offer, Receipt, Remembering
from agentd.ports.conversation import Conversation
from agentd.ports.documents import DocumentInfo, IngestProgress, SharedPath, Sharing
from agentd.ports.feed import Followed, Watched
from agentd.ports.house import CommandReply
from agentd.ports.letters import Decided, LetterList, LetterShown
from agentd.ports.sessions import Branch, SessionHit, SessionInfo, StoredMessage
from agentd.ports.status import Status, StatusReport
from agentd.ports.tokens import PageTicket, TokenList, TokenOrder
from agentd.records import Address, Citation, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.rights import require
from agentd.serving.budget import Budgets
from agentd.serving.changes import Changes
from agentd.serving.control import DaemonControl
from agentd.serving.gate import Gate
from agentd.serving.letters import Letters
from agentd.serving.tokens import TokenDesk
from agentd.storage.sessions import Sessions
from agentd.turns.conversation import Conversations

REMEMBERED = 10_000
"""Sessions of which somebody who watches all of theirs remembers whose they are."""


class SessionDoor:
    """Conversations, and what is asked and happens in them; implements `ports.Inbox`, with which the channel runs."""

    def __init__(
        self,
        gate: Gate,
        sessions: Sessions,
        inbox: Remembering,
        changes: Changes,
        feed: LiveFeed,
        conversations: Conversations,
    ) -> None:
        self._gate = gate
        self._sessions = sessions
        self._inbox = inbox
        self._changes = changes
        self._feed = feed
        self._conversations = conversations

    async def accept(self, offer: Offer) -> Receipt:
        self._gate.own(offer.address)
        who = self._gate.known(offer.principal)

        async def ask() -> Receipt:
            whose = await self._sessions.whose(who, offer.session_id)
            return await self._inbox.accept(replace(offer, principal=whose))

        return await self._changes.asked(offer.session_id, ask)

    async def receipt(self, turn_id: str, principal: Principal) -> Receipt:
        """`NotFound` for the turn of somebody else's session, or of one that was deleted."""
        who, found = self._gate.known(principal), await self._inbox.receipt(turn_id)
        await self._sessions.whose(who, found.session_id)
        return found

    def state(self, receipt: Receipt) -> Literal["queued", "running", "ended"]:
        """How the turn of a message is that was accepted."""
        if receipt.answer is not None:
            return "ended"
        return "running" if self._conversations.of(receipt.session_id).running == receipt.id else "queued"

    async def stop(self, session_id: str, principal: Principal) -> bool:
        return await self._inbox.stop(session_id, self._gate.known(principal))

    async def open(self, principal: Principal, ref: str | None, *, listed: bool = True) -> SessionInfo:
        who = self._gate.known(principal)
        return await self._sessions.open(who, ref, channel=self._gate.channel, listed=listed)

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]:
        return await self._sessions.list(self._gate.known(principal), limit=limit)

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]:
        return await self._sessions.history(self._gate.known(principal), session_id, limit=limit)

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        await self._sessions.mark_read(self._gate.known(principal), session_id)

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        return await self._sessions.session(self._gate.known(principal), session_id)

    def pages(self, principal: Principal, session_id: str) -> AsyncIterator[Sequence[StoredMessage]]:
        return self._sessions.pages(self._gate.known(principal), session_id)

    async def search(self, principal: Principal, text: str, *, limit: int = 20) -> Sequence[SessionHit]:
        return await self._sessions.search(self._gate.known(principal), text, limit=limit)

    async def rename(self, principal: Principal, session_id: str, name: str) -> SessionInfo:
        return await self._sessions.rename(self._gate.known(principal), session_id, name)

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        return await self._changes.delete(self._gate.known(principal), session_id)

    async def branches(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[Branch]:
        return await self._sessions.branches(self._gate.known(principal), session_id, limit=limit)

    async def select(self, principal: Principal, session_id: str, turn_id: str, *, before: bool = False) -> str:
        return await self._changes.select(self._gate.known(principal), session_id, turn_id, before=before)

    async def follow(self, principal: Principal, session_id: str, after: tuple[str, int] | None = None) -> Followed:
        """Its state, and its events after `(epoch, n)`, or from now on; a Gap if they are no longer all there."""
        await self._sessions.whose(self._gate.known(principal), session_id)
        # All at one moment, so that nothing is missed between the state and what happens next.
        return Followed(
            state=self._conversations.of(session_id),
            questions=self._feed.questions(session_id),
            events=self._feed.follow(session_id, after),
            now=partial(self._conversations.of, session_id),
        )

    def watch(self, principal: Principal, *, everybody: bool = False) -> Watched:
        """What happens from now on in all sessions of this principal, or, for the owner alone, of `everybody`."""
        who = self._gate.known(principal)
        if everybody:
            require(who, "administer")
        theirs: dict[str, bool] = {}

        async def state(event: Event) -> Conversation | None:
            session_id: str = getattr(event, "session_id", "")
            seen = everybody or await self._is_of(who, session_id, event, theirs)
            return self._conversations.of(session_id) if seen else None

        return Watched(events=self._feed.watch(), state=state)

    async def _is_of(self, who: Principal, session_id: str, event: Event, known: dict[str, bool]) -> bool:
        """Whether a session belongs to somebody; it never changes, so it is remembered in `known`."""
        if session_id not in known:
            if len(known) >= REMEMBERED:
                known.clear()
            try:
                asked = event.principal if isinstance(event, InboundEvent) else None
                known[session_id] = (asked or await self._sessions.whose(who, session_id)) == who
            except NotFound:
                known[session_id] = False
        return known[session_id]


class DocumentDoor:
    """Documents: counted, listed, looked up, read in, removed and shared."""

    def __init__(self, gate: Gate, documents: DocumentIngest, sharing: Sharing, budgets: Budgets) -> None:
        self._gate = gate
        self._documents = documents
        self._sharing = sharing
        self._budgets = budgets

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return await self._documents.counts(self._gate.known(principal))

    async def newest(self, principal: Principal, *, before: int, limit: int) -> Sequence[DocumentInfo]:
        return await self._documents.newest(self._gate.known(principal), before=before, limit=limit)

    async def remove(self, principal: Principal, ids: Sequence[int]) -> Sequence[int]:
        return await self._documents.remove(self._gate.known(principal), ids)

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        return await self._documents.passage(citation, self._gate.known(principal), since)

    def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        require(self._gate.known(principal), "ingest")
        return self._documents.ingest(paths, principal)

    async def upload(self, name: str, data: bytes, principal: Principal) -> AsyncIterator[IngestProgress]:
        require(self._gate.known(principal), "upload")
        held = await self._documents.held(principal, besides=name)
        self._budgets.check_document(principal, held, len(data))
        async for progress in self._documents.upload(name, data, principal):
            yield progress

    async def share(self, path: Path, whom: str, principal: Principal) -> SharedPath:
        require(self._gate.known(principal), "share")
        return await self._sharing.share(path, whom)

    async def unshare(self, path: Path, whom: str, principal: Principal) -> Sequence[SharedPath]:
        require(self._gate.known(principal), "share")
        return await self._sharing.unshare(path, whom)

    async def shares(self, principal: Principal) -> Sequence[SharedPath]:
        require(self._gate.known(principal), "share")
        return await self._sharing.shares()


class HouseDoor:
    """The house as a whole: how it is, what it is told to do, and what it owes.

    `hand_over` ends this daemon for another one; None if it does not do that.
    """

    def __init__(
        self,
        gate: Gate,
        status: Status,
        control: DaemonControl,
        letters: Letters,
        deliveries: Deliveries,
        hand_over: Callable[[], float] | None,
    ) -> None:
        self._gate = gate
        self._status = status
        self._control = control
        self._letters = letters
        self._deliveries = deliveries
        self._hand_over = hand_over

    async def snapshot(self, principal: Principal) -> StatusReport:
        return await self._status.snapshot(self._gate.known(principal))

    async def refusals(self) -> list[str]:
        """Why no message is taken, or none can be answered; empty if all is well. For the channel, not for clients."""
        return await self._status.refusals()

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        return await self._control.run(text, self._gate.known(principal), session_id)

    async def letters(self, principal: Principal, *, limit: int = 200) -> LetterList:
        return await self._letters.letters(self._gate.known(principal), limit=limit)

    async def letter(self, principal: Principal, wanted: str) -> LetterShown:
        return await self._letters.letter(self._gate.known(principal), wanted)

    async def retry(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._letters.retry(self._gate.known(principal), ids, older_than=older_than)

    async def drop(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._letters.drop(self._gate.known(principal), ids, older_than=older_than)

    def reachable(self, address: Address) -> None:
        self._deliveries.reachable(self._gate.own(address))

    def hand_over(self, principal: Principal) -> float:
        """Seconds until it has ended at the latest."""
        require(self._gate.known(principal), "hand_over")
        if self._hand_over is None:
            raise UsageError("this daemon was started by `agentd run` and does not hand over; stop it first.")
        return self._hand_over()


class TokenDoor:
    """Tokens and tickets: they are given out on this machine alone."""

    def __init__(self, gate: Gate, tokens: TokenDesk) -> None:
        self._gate = gate
        self._tokens = tokens

    async def tokens(self, principal: Principal, order: TokenOrder) -> TokenList:
        return await self._tokens.tokens(self._gate.here(principal), order)

    def ticket(self, principal: Principal) -> PageTicket:
        return self._tokens.ticket(self._gate.here(principal))


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """Of one channel; a channel takes the parts that it uses."""

    principals: Gate
    sessions: SessionDoor
    documents: DocumentDoor
    house: HouseDoor
    tokens: TokenDoor

    @property
    def channel(self) -> str:
        """The name of the channel whose door this is."""
        return self.principals.channel
