"""A conversation is deleted whole, and never while something is asked or answered in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from agentd.errors import Busy, NotFound, StateError
from agentd.events import Principal, SessionDeleted
from agentd.pending import PendingDirectory
from agentd.ports.bus import Bus
from agentd.ports.sessions import SessionInfo
from agentd.ports.work import Entry
from agentd.turns.conversation import Conversations


class Deletable(Protocol):
    async def session(self, principal: Principal, session_id: str) -> SessionInfo: ...

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo: ...


class Deletions:
    """`delete` and `asking` exclude each other; whoever follows a session hears that it is gone (`SessionDeleted`)."""

    def __init__(self, sessions: Deletable, pending: PendingDirectory, conversations: Conversations, bus: Bus) -> None:
        self._sessions = sessions
        self._pending = pending
        self._conversations = conversations
        self._bus = bus
        self._asking: Counter[str] = Counter()
        self._deleting: set[str] = set()

    @contextmanager
    def asking(self, session_id: str) -> Iterator[None]:
        """Meanwhile the session stays; `NotFound` if it is just being deleted."""
        if session_id in self._deleting:
            raise NotFound("this conversation is being deleted; begin a new one.")
        self._asking[session_id] += 1
        try:
            yield
        finally:
            self._asking[session_id] -= 1
            if not self._asking[session_id]:
                del self._asking[session_id]

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        """The session as it was; what of it is not delivered, or is a dead letter, goes first.

        `NotFound`; `Busy` while a question in it has no answer yet, or while somebody else waits for an answer.
        """
        if session_id in self._asking or not self._conversations.of(session_id).idle:
            raise Busy("a question in this conversation has no answer yet; stop it or wait, and delete it then.")
        self._deleting.add(session_id)
        try:
            session = await self._sessions.session(principal, session_id)
            owed = [entry for entry in await self._pending.undelivered() if entry.session_id == session_id]
            if owed and session.principal != principal:
                raise Busy("somebody else waits for an answer in this conversation; delete it when it is delivered.")
            await self._forget(session_id, owed)
            session = await self._sessions.delete(principal, session_id)
        finally:
            self._deleting.discard(session_id)
        gone = tuple(entry.outbound_id for entry in owed)
        self._bus.announce(SessionDeleted(session_id=session_id, undelivered=gone))
        return session

    async def _forget(self, session_id: str, owed: Sequence[Entry]) -> None:
        for entry in owed:
            try:
                await self._pending.ack(entry.id)
            except StateError:
                if await self._pending.find(entry.id) is not None:  # not delivered just now, but the disk refuses
                    raise
        for letter in await self._pending.dead():
            if letter.session_id == session_id:
                await self._pending.drop(letter.id)
