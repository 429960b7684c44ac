"""What is done to a whole conversation, never while something is asked or answered in it: it is deleted, or shows
another branch.

Those that were for one question go in time; see `Changes.purge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from agentd.errors import Busy, NotFound, StateError
from agentd.events import BranchSelected, SessionDeleted
from agentd.host.holding import Holding
from agentd.ids import NO_ID
from agentd.pending import PendingDirectory
from agentd.ports.bus import Bus
from agentd.ports.sessions import Selecting, SessionInfo
from agentd.ports.work import PendingTurn
from agentd.records import Principal
from agentd.turns.conversation import Conversations

R = TypeVar("R")

AT_ONCE = 100
"""How many sessions are purged in one step."""
UNANSWERED = "a question in this conversation has no answer yet; stop it or wait, and {} then."
DELETE, SELECT = "delete it", "go to another branch"


class Changeable(Selecting, Protocol):
    async def session(self, principal: Principal, session_id: str) -> SessionInfo: ...

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo: ...

    async def expired(self, older_than: timedelta, *, after: str, limit: int) -> Sequence[str]: ...

    async def expire(self, session_ids: Collection[str], older_than: timedelta) -> Sequence[str]: ...


class Changes:
    """`delete` and `select` exclude `asked` and each other, and each completes even if its caller is cancelled.

    Whoever follows a session hears that it is gone (`SessionDeleted`), or what it shows now (`BranchSelected`).
    """

    def __init__(
        self,
        sessions: Changeable,
        pending: PendingDirectory,
        conversations: Conversations,
        bus: Bus,
        *,
        followed: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._sessions = sessions
        self._followed = followed
        self._pending = pending
        self._conversations = conversations
        self._bus = bus
        self._asking: dict[str, set[asyncio.Task[Any]]] = {}
        self._changes = Holding()
        self._deleting: set[str] = set()
        self._selecting: dict[str, asyncio.Event] = {}

    async def asked(self, session_id: str, ask: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run `ask`, and meanwhile the session stays as it is; `NotFound` if it is just being deleted."""
        while (selected := self._selecting.get(session_id)) is not None:
            await selected.wait()
        if session_id in self._deleting:
            raise NotFound("this conversation is being deleted; begin a new one.")
        asking = asyncio.create_task(ask(), name=f"question in {session_id}")
        self._asking.setdefault(session_id, set()).add(asking)
        asking.add_done_callback(partial(self._over, session_id))
        return await asyncio.shield(asking)

    def _over(self, session_id: str, asking: asyncio.Task[Any]) -> None:
        others = self._asking[session_id]
        others.discard(asking)
        if not others:
            del self._asking[session_id]

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        """The session as it was; what of it is not delivered, or is a dead letter, goes first.

        `NotFound`; `Busy` while a question in it has no answer yet, or while somebody else waits for an answer.
        """
        return await self._changes.run(session_id, lambda: self._delete(principal, session_id))

    async def select(self, principal: Principal, session_id: str, turn_id: str, *, before: bool = False) -> str:
        """See `ports.Selecting`; `Busy` while a question in it has no answer yet."""
        return await self._changes.run(session_id, lambda: self._select(principal, session_id, turn_id, before))

    async def _select(self, principal: Principal, session_id: str, turn_id: str, before: bool) -> str:
        await self._sessions.session(principal, session_id)
        self._check_quiet(session_id, SELECT)
        selected = self._selecting[session_id] = asyncio.Event()
        try:
            await self._owed(session_id, SELECT)
            end = await self._sessions.select(principal, session_id, turn_id, before=before)
            self._bus.announce(BranchSelected(session_id=session_id, turn_id=end))
        finally:
            del self._selecting[session_id]
            selected.set()
        return end

    def _check_quiet(self, session_id: str, what: str) -> None:
        if session_id in self._asking or not self._conversations.of(session_id).idle:
            raise Busy(UNANSWERED.format(what))

    async def _delete(self, principal: Principal, session_id: str) -> SessionInfo:
        session = await self._sessions.session(principal, session_id)
        self._check_quiet(session_id, DELETE)
        self._deleting.add(session_id)
        try:
            owed = await self._owed(session_id, DELETE)
            if owed and session.principal != principal:
                raise Busy("somebody else waits for an answer in this conversation; delete it when it is delivered.")
            await self._forget(session_id, owed)
            if await self._owed(session_id, DELETE):
                raise Busy("something of this conversation became pending again; delete it once more.")
            session = await self._sessions.delete(principal, session_id)
        finally:
            self._deleting.discard(session_id)
        gone = tuple(turn.outbound_id for turn in owed)
        self._bus.announce(SessionDeleted(session_id=session_id, undelivered=gone))
        return session

    async def purge(self, older_than: timedelta) -> int:
        """Delete the unlisted sessions that were last used longer ago than that; how many there were.

        Those stay that somebody follows or asks, and those with an answer that is not delivered, or a dead letter.
        """
        last, purged = NO_ID, 0
        while found := await self._sessions.expired(older_than, after=last, limit=AT_ONCE):
            last = found[-1]
            purged += await self._expire(found, older_than)
        return purged

    async def _expire(self, session_ids: Sequence[str], older_than: timedelta) -> int:
        used = {*self._followed(), *self._asking, *self._deleting}
        idle = {one for one in session_ids if one not in used and self._conversations.of(one).idle}
        self._deleting |= idle
        try:
            gone = await self._sessions.expire(idle - await self._held(), older_than)
        finally:
            self._deleting -= idle
        for session_id in gone:
            self._bus.announce(SessionDeleted(session_id=session_id, undelivered=()))
        return len(gone)

    async def _held(self) -> set[str]:
        """Sessions of which something is pending or dead."""
        pending = [*await self._pending.unanswered(), *await self._pending.undelivered()]
        return {turn.session_id for turn in pending} | {letter.session_id for letter in await self._pending.dead()}

    async def _owed(self, session_id: str, what: str) -> Sequence[PendingTurn]:
        """What of it is not delivered; `Busy` if there is a question, whoever is to answer it."""
        if any(turn.session_id == session_id for turn in await self._pending.unanswered()):
            raise Busy(UNANSWERED.format(what))
        return [turn for turn in await self._pending.undelivered() if turn.session_id == session_id]

    async def _forget(self, session_id: str, owed: Sequence[PendingTurn]) -> None:
        for turn in owed:
            try:
                await self._pending.ack(turn.id)
            except StateError:
                if await self._pending.find(turn.id) is not None:  # not delivered just now, but the disk refuses
                    raise
        for letter in await self._pending.dead():
            if letter.session_id == session_id:
                with suppress(NotFound):  # It was dropped or taken back just now.
                    await self._pending.drop(letter.id)
