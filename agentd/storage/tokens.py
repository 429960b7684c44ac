"""Tokens in `agentd.db`: whose they are and what for. Of a secret only its SHA-256 is kept.

A secret has 256 random bits, so that a plain digest is enough: there is nothing to guess. It begins with `agentd_`, so
that a person, or a scanner for lost secrets, knows what it is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from agentd.errors import NotFound, UsageError
from agentd.ports.clock import Clock
from agentd.ports.tokens import Token, Way
from agentd.records import Principal, Scope
from agentd.storage.store import Store
from agentd.storage.values import as_principal, as_stored, as_text, as_time

PREFIX = "agentd_"
SECRET_BYTES = 32
MOST_TOKENS = 1000
"""Tokens that were not revoked."""
MOST_PAGES = 64
"""Pages of one principal; the one that was used longest ago makes room for a new one."""
MAX_SECRET = 200
PAGE_LIFE = timedelta(hours=12)
"""How long a page is let in after it was used last."""
USED_EVERY = timedelta(hours=1)
"""`used` is written so often at most, and the life of a page renewed."""
KEPT = timedelta(days=30)
"""How long a token that was revoked or has expired is listed."""

_COLUMNS = "id, way, name, principal_kind, principal_id, scopes, created, used, expires, revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A token to be made; without `life` it does not expire."""

    way: Way
    name: str
    principal: Principal
    scopes: Collection[Scope]
    life: timedelta | None = None


class Tokens:
    """Raises `StateError` or `Busy` as `Store` does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def make(self, wanted: Wanted) -> tuple[Token, str]:
        """A new token and its secret; `UsageError` if there is one of this name, or too many in all."""
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock.now()
        token = Token(
            id=secrets.token_hex(8),
            way=wanted.way,
            name=wanted.name,
            principal=wanted.principal,
            scopes=tuple(scope for scope in get_args(Scope) if scope in wanted.scopes),
            created=now,
            expires=None if wanted.life is None else now + wanted.life,
        )

        def write(db: sqlite3.Connection) -> None:
            _make_room(db, token, as_stored(now))
            db.execute(
                f"INSERT INTO tokens (digest, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (_digest(secret), *_row(token)),
            )

        await self._store.write(write)
        return token, secret

    async def find(self, secret: str) -> Token | None:
        """The token that has this secret, if it still lets somebody in."""
        if not secret.startswith(PREFIX) or len(secret) > MAX_SECRET:
            return None
        digest = _digest(secret)
        query = f"SELECT digest, {_COLUMNS} FROM tokens WHERE digest = ?"
        row = await self._store.read(lambda db: db.execute(query, (digest,)).fetchone())
        if row is None or not hmac.compare_digest(row[0], digest):
            return None
        token = _token(row[1:])
        return token if token.revoked is None and not has_expired(token, self._clock.now()) else None

    async def note_use(self, tokens: Collection[Token]) -> None:
        """They are used now; written if that was not noted within the last hour. The life of a page begins anew."""
        now = self._clock.now()
        due = [token for token in tokens if token.used is None or now - token.used >= USED_EVERY]
        if due:
            times = [(as_stored(now), _renewed(token, now), token.id) for token in due]
            statement = "UPDATE tokens SET used = ?, expires = ? WHERE id = ? AND revoked = ''"
            await self._store.write(lambda db: db.executemany(statement, times).rowcount)

    async def list(self) -> Sequence[Token]:
        """All that are known, the oldest first."""
        query = f"SELECT {_COLUMNS} FROM tokens ORDER BY created, id"
        return [_token(row) for row in await self._store.read(lambda db: db.execute(query).fetchall())]

    async def revoke(self, name: str) -> Token:
        """From now on it lets nobody in; `NotFound` if there is no such one (any more)."""
        now = as_stored(self._clock.now())

        def write(db: sqlite3.Connection) -> Token:
            query = f"UPDATE tokens SET revoked = ? WHERE name = ? AND revoked = '' RETURNING {_COLUMNS}"
            if (row := db.execute(query, (now, name)).fetchone()) is None:
                raise NotFound(f"there is no token {name}; `agentd token list` shows all of them.")
            return _token(row)

        return await self._store.write(write)

    async def purge(self) -> int:
        """Forget pages that have expired, and tokens that ended long ago; how many they were."""
        now = self._clock.now()
        long_ago = as_stored(now - KEPT)
        statement = (
            "DELETE FROM tokens WHERE (way = 'page' AND (revoked != '' OR expires <= ?))"
            " OR (revoked != '' AND revoked <= ?) OR (expires != '' AND expires <= ?)"
        )
        values = (as_stored(now), long_ago, long_ago)
        return await self._store.write(lambda db: db.execute(statement, values).rowcount)


def has_expired(token: Token, now: datetime) -> bool:
    return token.expires is not None and token.expires <= now


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _make_room(db: sqlite3.Connection, token: Token, now: str) -> None:
    """What has expired gives its name back; a page that was used longest ago gives way."""
    db.execute("UPDATE tokens SET revoked = ? WHERE revoked = '' AND expires != '' AND expires <= ?", (now, now))
    if token.way == "page":
        mine = (token.principal.kind, token.principal.id, MOST_PAGES - 1)
        db.execute(
            "UPDATE tokens SET revoked = ? WHERE id IN (SELECT id FROM tokens WHERE way = 'page' AND revoked = ''"
            " AND principal_kind = ? AND principal_id = ? ORDER BY max(used, created) DESC, id LIMIT -1 OFFSET ?)",
            (now, *mine),
        )
        return
    if db.execute("SELECT 1 FROM tokens WHERE name = ? AND revoked = ''", (token.name,)).fetchone() is not None:
        raise UsageError(f"there is a token {token.name} already; choose another name, or revoke that one first.")
    (count,) = db.execute("SELECT count(*) FROM tokens WHERE way = 'token' AND revoked = ''").fetchone()
    if count >= MOST_TOKENS:
        raise UsageError(f"there are {count:,} tokens already; revoke some of them (`agentd token list`).")


def _renewed(token: Token, now: datetime) -> str:
    return _stored(now + PAGE_LIFE if token.way == "page" else token.expires)


def _row(token: Token) -> tuple[str, ...]:
    times = (_stored(token.created), _stored(token.used), _stored(token.expires), _stored(token.revoked))
    whose = (token.principal.kind, token.principal.id)
    return (token.id, token.way, token.name, *whose, " ".join(token.scopes), *times)


def _stored(time: datetime | None) -> str:
    return "" if time is None else as_stored(time)


def _token(row: Sequence[Any]) -> Token:
    """A damaged row lets nobody in: an unreadable time is long ago, an unknown scope is none."""
    token_id, way, name, kind, principal, scopes, created, used, expires, revoked = row
    return Token(
        id=as_text(token_id),
        way="page" if way == "page" else "token",
        name=as_text(name),
        principal=as_principal(kind, principal),
        scopes=tuple(scope for scope in get_args(Scope) if scope in as_text(scopes).split()),
        created=as_time(created),
        used=_time(used),
        expires=_time(expires),
        revoked=_time(revoked),
    )


def _time(value: object) -> datetime | None:
    return None if value == "" else as_time(value)
