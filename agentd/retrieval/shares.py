"""What the owner shares: others may search it and see what is cited of it; nobody but the owner can change it."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agentd.errors import NotFound, UsageError
from agentd.ports.clock import Clock
from agentd.ports.documents import SharedPath
from agentd.records import OWNER
from agentd.retrieval.documents import EVERYONE, sources_between
from agentd.retrieval.readers import below, shown, source_of
from agentd.rights import person
from agentd.storage.store import Store
from agentd.storage.values import as_stored, as_time


class Shares:
    """Implements `ports.documents.Sharing` over documents.db; whoever asks is the owner."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def share(self, path: Path, whom: str) -> SharedPath:
        """Let somebody search what was read below a path. `NotFound` if nothing was."""
        given, reader = _given(path), await asyncio.to_thread(reader_of, whom)
        ranges, since = _ranges(given), as_stored(self._clock.now())

        def add(db: sqlite3.Connection) -> SharedPath:
            if not any(sources_between(db, OWNER, low, high, limit=1) for low, high in ranges):
                raise NotFound(f"nothing was read from {shown(given)}; `agentd ingest PATH` reads it first.")
            db.executemany(
                "INSERT OR IGNORE INTO shares (path, whom, low, high, since) VALUES (?, ?, ?, ?, ?)",
                [(source_of(given), reader, low, high, since) for low, high in ranges],
            )
            return next(share for share in _shares(db) if (share.path, share.whom) == (source_of(given), reader))

        return await self._store.write(add)

    async def unshare(self, path: Path, whom: str = "") -> Sequence[SharedPath]:
        """Take that back, from everybody if nobody is named; what it was. `NotFound` if the path was not shared so."""
        given, reader = source_of(_given(path)), await asyncio.to_thread(reader_of, whom) if whom else ""

        def remove(db: sqlite3.Connection) -> Sequence[SharedPath]:
            shares = _shares(db)
            gone = [share for share in shares if share.path == given and reader in ("", share.whom)]
            if not gone:
                raise NotFound(_not_shared(given, shares))
            db.executemany("DELETE FROM shares WHERE whom = ? AND path = ?", [(one.whom, one.path) for one in gone])
            return gone

        return await self._store.write(remove)

    async def shares(self) -> Sequence[SharedPath]:
        """All of them, by path."""
        return await self._store.read(_shares)


def reader_of(whom: str) -> str:
    """Who is meant, in the one way in which shares name them; `UsageError` if that is nobody.

    A name without a kind is that of a user of this machine or, if there is none of this name, of a person.
    """
    kind, colon, name = whom.partition(":")
    if whom == EVERYONE:
        return EVERYONE
    if not colon:
        uid = _uid(whom)
        return f"user:{uid}" if uid is not None else reader_of(f"person:{whom}")
    if kind == "user":
        if (uid := _uid(name)) is None:
            raise UsageError(f"this machine has no user {name!r}.")
        return f"user:{uid}"
    if kind == "person":
        return f"person:{person(name).id}"
    raise UsageError(f"{whom!r} names nobody; share with `everyone`, a user of this machine, or `person:NAME`.")


def _uid(name: str) -> int | None:
    if name.isascii() and name.isdecimal():
        return int(name)
    with suppress(KeyError, ValueError):
        return pwd.getpwnam(name).pw_uid
    return None


def _given(path: Path) -> str:
    """As an ingest names it."""
    return os.path.abspath(path)


def _ranges(path: str) -> Sequence[tuple[str, str]]:
    itself = source_of(path)
    return ((itself, f"{itself}\0"), *below(path))


def _shares(db: sqlite3.Connection) -> list[SharedPath]:
    rows = db.execute(
        "SELECT shares.path, shares.whom, min(shares.since), count(DISTINCT documents.id)"
        " FROM shares LEFT JOIN documents"
        " ON documents.principal_kind = 'owner' AND documents.principal_id = ''"
        " AND documents.source >= shares.low AND documents.source < shares.high"
        " GROUP BY shares.path, shares.whom ORDER BY shares.path, shares.whom"
    )
    return [
        SharedPath(path=path, whom=whom, since=as_time(since), documents=count) for path, whom, since, count in rows
    ]


def _not_shared(path: str, shares: Sequence[SharedPath]) -> str:
    above = [share.path for share in shares if path.startswith(share.path.rstrip("/") + "/")]
    within = f"; it lies in {above[0]}, which is" if above else ""
    return f"{path} itself is not shared like that{within}; `agentd docs shares` lists what is."
