"""What one channel is given of the house: nothing passes this door without a look at who asks for what.

A channel speaks only for the principals that it got here. What it accepts lands in a session of that principal, with an
address of its own, and belongs to whose session it is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agentd.errors import UsageError
from agentd.events import Address, Citation, InboundEvent, Principal, Sender
from agentd.host.peers import Peer
from agentd.ports.bus import Subscription
from agentd.ports.channels import Caller, Deliveries, Inbox, Offer, Receipt
from agentd.ports.documents import DocumentIntake, IngestProgress
from agentd.ports.feed import Followed, Numbered
from agentd.ports.house import CommandReply, Control
from agentd.ports.letters import Decided, DeliveryDesk, LetterList, LetterShown
from agentd.ports.sessions import SessionDesk, SessionHit, SessionInfo, StoredMessage
from agentd.ports.status import Status, StatusReport
from agentd.rights import local_principal, require
from agentd.serving.budget import Budgets
from agentd.serving.deletions import Deletions
from agentd.turns.conversation import Conversations

LOCAL = "terminal"
"""The channel that serves the sockets of this machine, and so may speak for its users."""


class _Sessions(SessionDesk, Protocol):
    async def whose(self, principal: Principal, session_id: str) -> Principal: ...


class _Documents(DocumentIntake, Protocol):
    async def held(self, principal: Principal, besides: str = "") -> tuple[int, int]: ...


class _Feed(Protocol):
    @property
    def epoch(self) -> str: ...

    def follow(self, session_id: str, after: tuple[str, int] | None = None) -> Subscription[Numbered]: ...

    def questions(self, session_id: str) -> Sequence[InboundEvent]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """What lies behind every door. `owners` are the uids that the owner has, `peer` tells who connected."""

    owners: Collection[int]
    peer: Callable[[socket.socket], Peer]
    inbox: Inbox
    sessions: _Sessions
    deletions: Deletions
    documents: _Documents
    budgets: Budgets
    feed: _Feed
    conversations: Conversations
    deliveries: Deliveries
    status: Status
    control: Control
    letters: DeliveryDesk
    hand_over: Callable[[], float] | None


class Door:
    """Implements what `serving.offers.Offers` gives a channel, and the `Inbox` with which the channel runs."""

    def __init__(self, channel: str, inside: Inside) -> None:
        self._channel = channel
        self._inside = inside

    @property
    def channel(self) -> str:
        """The name of the channel whose door this is."""
        return self._channel

    # --- who ---

    def local(self, connection: socket.socket, *, group: int | None) -> Caller | None:
        if self._channel != LOCAL:
            raise UsageError(f"channel {self._channel} may not speak for users of this machine; {LOCAL} does that.")
        peer = self._inside.peer(connection)
        owners = {0, os.geteuid(), *self._inside.owners}
        principal = local_principal(peer.uid, peer.groups, owners, group)
        sender = Sender(id=str(peer.uid), name=f"pid {peer.pid}")
        return None if principal is None else Caller(principal=principal, sender=sender)

    def token(self, name: str) -> Principal:
        return Principal(kind="token", id=f"{self._channel}:{name}")

    def chat(self, chat: str) -> Principal:
        return Principal(kind="chat", id=f"{self._channel}:{chat}")

    def _known(self, principal: Principal) -> Principal:
        """`UsageError` for a principal that was not given out here."""
        if self._channel == LOCAL:
            given = principal.kind in ("owner", "user")
        else:
            given = principal.kind in ("token", "chat") and principal.id.startswith(f"{self._channel}:")
        if not given:
            raise UsageError(
                f"channel {self._channel} may not speak for {principal.kind} {principal.id}".rstrip()
                + "; it takes its principals from Offers.principals."
            )
        return principal

    def _own(self, address: Address) -> None:
        if address.channel != self._channel:
            raise UsageError(f"channel {self._channel} may not use an address of channel {address.channel}.")

    # --- sessions ---

    async def accept(self, offer: Offer) -> Receipt:
        self._own(offer.address)
        who = self._known(offer.principal)
        with self._inside.deletions.asking(offer.session_id):
            whose = await self._inside.sessions.whose(who, offer.session_id)
            return await self._inside.inbox.accept(replace(offer, principal=whose))

    async def stop(self, session_id: str, principal: Principal) -> bool:
        return await self._inside.inbox.stop(session_id, self._known(principal))

    async def open(self, principal: Principal, ref: str | None) -> SessionInfo:
        return await self._inside.sessions.open(self._known(principal), ref)

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]:
        return await self._inside.sessions.list(self._known(principal), limit=limit)

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]:
        return await self._inside.sessions.history(self._known(principal), session_id, limit=limit)

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        await self._inside.sessions.mark_read(self._known(principal), session_id)

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        return await self._inside.sessions.session(self._known(principal), session_id)

    def pages(self, principal: Principal, session_id: str) -> AsyncIterator[Sequence[StoredMessage]]:
        return self._inside.sessions.pages(self._known(principal), session_id)

    async def search(self, principal: Principal, text: str, *, limit: int = 20) -> Sequence[SessionHit]:
        return await self._inside.sessions.search(self._known(principal), text, limit=limit)

    async def rename(self, principal: Principal, session_id: str, name: str) -> SessionInfo:
        return await self._inside.sessions.rename(self._known(principal), session_id, name)

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        return await self._inside.deletions.delete(self._known(principal), session_id)

    @property
    def epoch(self) -> str:
        return self._inside.feed.epoch

    async def follow(self, principal: Principal, session_id: str, after: tuple[str, int] | None = None) -> Followed:
        await self._inside.sessions.whose(self._known(principal), session_id)
        # All at one moment, so that nothing is missed between the state and what happens next.
        return Followed(
            state=self._inside.conversations.of(session_id),
            questions=self._inside.feed.questions(session_id),
            events=self._inside.feed.follow(session_id, after),
        )

    # --- documents ---

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return await self._inside.documents.counts(self._known(principal))

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        return await self._inside.documents.passage(citation, self._known(principal), since)

    def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        require(self._known(principal), "ingest")
        return self._inside.documents.ingest(paths, principal)

    async def upload(self, name: str, data: bytes, principal: Principal) -> AsyncIterator[IngestProgress]:
        require(self._known(principal), "upload")
        held = await self._inside.documents.held(principal, besides=name)
        self._inside.budgets.check_document(principal, held, len(data))
        async for progress in self._inside.documents.upload(name, data, principal):
            yield progress

    # --- the house ---

    def reachable(self, address: Address) -> None:
        self._own(address)
        self._inside.deliveries.reachable(address)

    async def snapshot(self, principal: Principal) -> StatusReport:
        return await self._inside.status.snapshot(self._known(principal))

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        return await self._inside.control.run(text, self._known(principal), session_id)

    async def letters(self, principal: Principal, *, limit: int = 200) -> LetterList:
        return await self._inside.letters.letters(self._known(principal), limit=limit)

    async def letter(self, principal: Principal, wanted: str) -> LetterShown:
        return await self._inside.letters.letter(self._known(principal), wanted)

    async def retry(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._inside.letters.retry(self._known(principal), ids, older_than=older_than)

    async def drop(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._inside.letters.drop(self._known(principal), ids, older_than=older_than)

    def hand_over(self, principal: Principal) -> float:
        require(self._known(principal), "hand_over")
        if self._inside.hand_over is None:
            raise UsageError("this daemon was started by `agentd run` and does not hand over; stop it first.")
        return self._inside.hand_over()
