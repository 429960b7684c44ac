"""Conversations and shares in a state directory that no daemon uses, for its owner: what a client of a daemon has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.host.lock import StateLock
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.records import OWNER
from agentd.retrieval.shares import Shares
from agentd.serving import exports, protocol, told
from agentd.serving.changes import Changes
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.turns.conversation import Conversations


class OwnersSessions:
    """Conversations for somebody who may open the state directory, and so is its owner; see `Client`."""

    def __init__(self, sessions: Sessions, changes: Changes) -> None:
        self._sessions = sessions
        self._changes = changes

    async def sessions(self, *, limit: int = 50) -> protocol.SessionList:
        found = await self._sessions.list(OWNER, limit=limit)
        return protocol.SessionList(sessions=tuple(told.listed(session, OWNER) for session in found))

    async def session(self, session: str) -> protocol.ListedSession:
        return told.listed(await self._sessions.session(OWNER, session), OWNER)

    async def search(self, text: str, *, limit: int = 20) -> protocol.SessionsFound:
        hits = await self._sessions.search(OWNER, text, limit=limit)
        return protocol.SessionsFound(sessions=tuple(told.found(hit, OWNER) for hit in hits))

    async def history(self, session: str, *, limit: int = 50) -> protocol.History:
        stored = await self._sessions.history(OWNER, session, limit=limit)
        return protocol.History(messages=tuple(map(told.message, stored)))

    async def rename(self, session: str, name: str) -> protocol.ListedSession:
        return told.listed(await self._sessions.rename(OWNER, session, name), OWNER)

    async def delete(self, session: str) -> protocol.ListedSession:
        return told.listed(await self._changes.delete(OWNER, session), OWNER)

    async def export(self, session: str, form: exports.Format = "markdown") -> AsyncIterator[protocol.Exported]:
        found, pages = await self._sessions.session(OWNER, session), self._sessions.pages(OWNER, session)
        async for piece in exports.exported(found, pages, form, re=""):
            yield piece


class OwnersShares:
    """What is shared, for somebody who may open the state directory; see `Client`."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares

    async def share(
        self, what: Literal["add", "remove", "list"], path: str = "", whom: str = ""
    ) -> protocol.SharedPaths:
        match what:
            case "add":
                found: Sequence[protocol.SharedPath] = [await self._shares.share(Path(path), whom)]
            case "remove":
                found = await self._shares.unshare(Path(path), whom)
            case "list":
                found = await self._shares.shares()
        return protocol.SharedPaths(shares=tuple(found))


@asynccontextmanager
async def shares_at_rest(state_dir: Path) -> AsyncIterator[OwnersShares]:
    """Raises what `sessions_at_rest` raises."""
    with StateLock(state_dir):
        async with Store(state_dir / "documents.db", load_migrations("agentd.retrieval")) as store:
            yield OwnersShares(Shares(store, SystemClock()))


@asynccontextmanager
async def sessions_at_rest(state_dir: Path, *, allow_network_fs: bool = False) -> AsyncIterator[OwnersSessions]:
    """Raises `StateInUse` if a daemon runs, `StateError` and `NewerVersion` as a start of the daemon does."""
    clock = SystemClock()
    with StateLock(state_dir):
        async with (
            PendingDirectory(state_dir, clock=clock, allow_network_fs=allow_network_fs) as pending,
            Store(state_dir / "agentd.db", load_migrations("agentd.storage")) as store,
        ):
            await pending.tell_lost()
            sessions = Sessions(store, IdSource(), clock, undelivered=pending.undelivered)
            nobody = EventBus(pending)
            yield OwnersSessions(sessions, Changes(sessions, pending, Conversations(), nobody))
