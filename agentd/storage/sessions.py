"""Conversations, in `agentd.db`; everybody but the owner sees their own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from agentd.errors import Busy, NotFound, UsageError
from agentd.host.holding import Holding
from agentd.ids import NO_ID, IdSource, is_id
from agentd.ports.clock import Clock
from agentd.ports.sessions import Branch, SessionHit, SessionInfo, StoredMessage
from agentd.ports.work import PendingTurn
from agentd.records import Principal
from agentd.storage import branches, history, searching, tree
from agentd.storage.history import without_notice
from agentd.storage.names import checked_name
from agentd.storage.store import Store
from agentd.storage.values import as_principal, as_stored, as_text, as_time
from agentd.text.plain import plain

UNUSED = 1000
"""How many sessions of one principal may be open without having been used."""
ERASED = "This conversation was deleted."
"""The answer of each of its turns from then on."""
NO_TURN = "there is no question {} in this conversation; its history has their ids."
NO_SESSION = "there is no session {}; /sessions in `agentd chat` lists them."


class Sessions:
    """Implements `ports.SessionView`, and keeps what turns leave behind.

    Every method that takes a principal raises the same `NotFound` for somebody else's session as for one that does not
    exist. All methods raise `StateError` or `Busy` as `Store` does.
    """

    def __init__(
        self,
        store: Store,
        ids: IdSource,
        clock: Clock,
        *,
        unanswered: Callable[[], Mapping[str, str]] = dict,
        followed: Callable[[], Collection[str]] = tuple,
        undelivered: Callable[[], Awaitable[Collection[PendingTurn]]] | None = None,
    ) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._unanswered = unanswered
        """Session -> its newest question without an answer; a question makes a session used, even before its answer."""
        self._followed = followed
        self._undelivered = undelivered
        self._searches = Holding()

    # --- as their principal sees them ---

    async def open(
        self, principal: Principal, ref: str | None, *, channel: str = "", listed: bool = True
    ) -> SessionInfo:
        """A new session (None), the latest one ("last"), one by id, or one by name, which is made if there is none.

        "last" and names mean the principal's own sessions, even for the owner, who reaches the others by id. "last" is
        the session that was asked last, whether it was answered or not; if there is none, a new one. Raises
        `UsageError` if the name is not allowed. A new session without a name that is not `listed` is left out of lists
        and searches until it is continued, and counts as "last" only for the channel that opened it.
        """
        unlisted = "" if listed else channel
        if ref is None:
            return await self._make(principal, "", unlisted)
        if ref == "last":
            unanswered = self._unanswered()
            latest = await self._store.read(lambda db: _latest(db, principal, channel, unanswered))
            return latest or await self._make(principal, "", unlisted)
        if is_id(ref):
            return await self._store.read(lambda db: _visible(db, principal, ref))
        name = checked_name(ref)
        return await self._store.read(lambda db: _named(db, principal, name)) or await self._make(principal, name)

    async def _make(self, principal: Principal, name: str, unlisted: str = "") -> SessionInfo:
        """Make a session; if too many are unused, the oldest of those go, so that names cannot fill the disk."""
        session_id, now = self._ids.next(), as_stored(self._clock.now())
        used = {*self._followed(), *self._unanswered()}

        def make(db: sqlite3.Connection) -> SessionInfo:
            if name and (known := _named(db, principal, name)):
                return known
            _forget_unused(db, principal, used)
            db.execute(
                "INSERT INTO sessions (id, principal_kind, principal_id, name, created, updated, unlisted)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (session_id, principal.kind, principal.id, name, now, now, unlisted),
            )
            return _visible(db, principal, session_id)

        return await self._store.write(make)

    async def whose(self, principal: Principal, session_id: str) -> Principal:
        """The principal of a session that `principal` may see."""
        return await self._store.read(lambda db: _whose(db, principal, session_id))

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]:
        """Listed sessions that have messages, the one with the newest message first.

        Answers count as unread that wait for somebody to open the session, too.
        """
        where, mine = _scope(principal)
        query = f"{_INFO} WHERE s.newest > 0 AND s.unlisted = '' AND {where} ORDER BY s.newest DESC LIMIT ?"
        found = await self._store.read(lambda db: [_info(row) for row in db.execute(query, (*mine, limit))])
        waiting = await self._waiting()
        return [replace(session, unread=session.unread + waiting[session.id]) for session in found]

    async def _waiting(self) -> Counter[str]:
        """How many answers of each session that nobody follows wait to be delivered."""
        if self._undelivered is None:
            return Counter()
        counts = Counter(turn.session_id for turn in await self._undelivered())
        for session_id in self._followed():
            counts.pop(session_id, None)
        return counts

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]:
        """The newest `limit` messages of the branch that is shown, the newest last."""

        def read(db: sqlite3.Connection) -> Sequence[StoredMessage]:
            _whose(db, principal, session_id)
            return history.newest(db, session_id, limit)

        return await self._store.read(read)

    async def rename(self, principal: Principal, session_id: str, name: str) -> SessionInfo:
        """Give a session a name, or none (""). Raises `UsageError` if its principal already uses that name.

        From then on the session is listed.
        """
        checked = checked_name(name) if name else ""

        def rename(db: sqlite3.Connection) -> SessionInfo:
            session = _visible(db, principal, session_id)
            holder = _named(db, session.principal, checked) if checked else None
            if holder is not None and holder.id != session_id:
                raise UsageError(f'the name "{checked}" belongs to session {holder.id}; choose another one.')
            db.execute("UPDATE sessions SET name = ?, unlisted = '' WHERE id = ?", (checked, session_id))
            return _visible(db, principal, session_id)

        return await self._store.write(rename)

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        """The session goes, with its messages, its summary, the marks of its answers and the answers of its turns.

        `TurnRecords` still knows that its turns ended, so that a message that is offered again does not begin a new
        turn.
        """

        def delete(db: sqlite3.Connection) -> SessionInfo:
            session = _visible(db, principal, session_id)
            db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            db.execute(_ERASE, (ERASED, session_id))
            return session

        return await self._store.write(delete, erases=True)

    async def expired(self, older_than: timedelta, *, after: str = NO_ID, limit: int = 100) -> Sequence[str]:
        """Ids after `after`, in their order, of unlisted sessions that were not used for so long."""
        before = as_stored(self._clock.now() - older_than)
        query = f"SELECT s.id FROM sessions s WHERE {_EXPIRED} AND s.id > ? ORDER BY s.id LIMIT ?"
        return await self._store.read(lambda db: [row[0] for row in db.execute(query, (before, after, limit))])

    async def expire(self, session_ids: Collection[str], older_than: timedelta) -> Sequence[str]:
        """Delete those of these sessions that are still unlisted and unused, as `delete` does; the deleted ones."""
        before = as_stored(self._clock.now() - older_than)
        query = f"DELETE FROM sessions AS s WHERE s.id = ? AND {_EXPIRED}"

        def expire(db: sqlite3.Connection) -> Sequence[str]:
            gone = [session_id for session_id in session_ids if db.execute(query, (session_id, before)).rowcount]
            db.executemany(_ERASE, [(ERASED, session_id) for session_id in gone])
            return gone

        return await self._store.write(expire, erases=True)

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        found = await self._store.read(lambda db: _visible(db, principal, session_id))
        return replace(found, unread=found.unread + (await self._waiting())[session_id])

    async def pages(self, principal: Principal, session_id: str) -> AsyncIterator[Sequence[StoredMessage]]:
        """All messages of the branch that is shown, the oldest first, a page of them at a time."""
        after = 0
        while True:
            after, page = await self._store.read(partial(_page, principal, session_id, after))
            if not page:
                return
            yield page

    async def search(self, principal: Principal, text: str, *, limit: int = 20) -> Sequence[SessionHit]:
        """The sessions that have all words of `text` in one message, or in their name and title; the newest first.

        One search of the owner runs at a time, and one of all others.
        """
        words = plain(text).casefold().split()
        if not words:
            raise UsageError("there is nothing to search for; give one or more words.")

        def search(db: sqlite3.Connection) -> Sequence[SessionHit]:
            where, mine = _scope(principal)
            hits = searching.search(db, (f"s.unlisted = '' AND {where}", mine), words, limit)
            found = [
                SessionHit(
                    session=_visible(db, principal, hit.session_id),
                    turn_id=hit.turn_id,
                    excerpt=hit.excerpt,
                    aside=hit.aside,
                )
                for hit in hits
            ]
            return sorted(found, key=lambda hit: hit.session.updated, reverse=True)

        # Else a few that search hold all readers, and with them whoever asks something.
        whose = "the owner's search" if principal.kind == "owner" else "a search of the others"
        found = await self._searches.run(whose, lambda: self._store.read(search))
        waiting, sessions = await self._waiting(), (hit.session for hit in found)
        counted = [replace(session, unread=session.unread + waiting[session.id]) for session in sessions]
        return [replace(hit, session=session) for hit, session in zip(found, counted, strict=True)]

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        """Mark all messages of the session as read."""

        def mark(db: sqlite3.Connection) -> None:
            _whose(db, principal, session_id)
            db.execute("UPDATE messages SET unread = 0 WHERE session_id = ? AND unread = 1", (session_id,))

        await self._store.write(mark)

    # --- branches ---

    async def branches(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[Branch]:
        """See `ports.SessionView`."""

        def read(db: sqlite3.Connection) -> Sequence[Branch]:
            _whose(db, principal, session_id)
            return branches.listed(db, session_id, limit)

        return await self._store.read(read)

    async def question(self, principal: Principal, session_id: str, turn_id: str) -> str:
        """See `ports.SessionView`."""

        def read(db: sqlite3.Connection) -> str:
            _whose(db, principal, session_id)
            if (text := history.question(db, session_id, turn_id)) is None:
                raise NotFound(NO_TURN.format(turn_id))
            return text

        return await self._store.read(read)

    async def select(self, principal: Principal, session_id: str, turn_id: str, *, before: bool = False) -> str:
        """See `ports.Selecting`; nobody may ask anything meanwhile."""

        def select(db: sqlite3.Connection) -> str:
            _whose(db, principal, session_id)
            parents = branches.parents(db, session_id)
            if turn_id not in parents:
                raise NotFound(NO_TURN.format(turn_id))
            end = parents[turn_id] if before else tree.newest_end(parents, turn_id)
            branches.show(db, session_id, end)
            return end

        return await self._store.write(select)

    # --- as turns and deliveries see them ---

    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]:
        """See `ports.History`."""
        messages = await self._store.read(lambda db: history.newest(db, session_id, limit))
        return [said for message in messages if (said := without_notice(message)).text.strip()]

    async def mark_unread(self, turn_id: str) -> None:
        """Mark the answer of this turn as unread: nobody was there to take it."""
        await self._store.write(
            lambda db: (
                db.execute(
                    "UPDATE messages SET unread = 1 WHERE turn_id = ? AND role = 'assistant'", (turn_id,)
                ).rowcount
            )
        )

    async def last_id(self) -> str:
        """The greatest id of any session, ended turn or answer; new ids must sort after it."""
        # One query for each: SQLite uses an index only for a single max().
        queries = (("id", "sessions"), ("turn_id", "turns"), ("outbound_id", "turns"))

        def greatest(db: sqlite3.Connection) -> str:
            # No id begins with f, but the text in a damaged row may.
            found = (db.execute(f"SELECT max({name}) FROM {table} WHERE {name} < 'f'") for name, table in queries)
            return max(as_text(rows.fetchone()[0]) for rows in found) or NO_ID

        return await self._store.read(greatest)


# --- queries ---------------------------------------------------------------------------------------------------------

_ERASE = """
UPDATE turns SET outbound_json = iif(json_valid(outbound_json),
    json_set(outbound_json, '$.text', ?, '$.notice', '',
        '$.citations', json('[]'), '$.calls', json('[]'), '$.asked', json('[]')), '')
WHERE session_id = ?
"""
_INFO = """
SELECT s.id, s.principal_kind, s.principal_id, s.name, s.title, s.created, s.updated, s.unlisted = '',
       (SELECT count(*) FROM messages m WHERE m.session_id = s.id AND m.aside = 0),
       (SELECT count(*) FROM messages m WHERE m.session_id = s.id AND m.unread = 1)
FROM sessions s"""

_EXPIRED = "s.unlisted != '' AND s.updated < ?"
_OWN = "s.principal_kind = ? AND s.principal_id = ?"


def _scope(principal: Principal) -> tuple[str, tuple[str, ...]]:
    """The sessions that a principal may see, as a condition and its values."""
    return ("1", ()) if principal.kind == "owner" else (_OWN, (principal.kind, principal.id))


def _info(row: tuple[Any, ...]) -> SessionInfo:
    session_id, kind, principal_id, name, title, created, updated, listed, messages, unread = row
    return SessionInfo(
        id=session_id,
        principal=as_principal(kind, principal_id),
        name=as_text(name),
        title=as_text(title),
        created=as_time(created),
        updated=as_time(updated),
        messages=messages,
        unread=unread,
        listed=bool(listed),
    )


def _whose(db: sqlite3.Connection, principal: Principal, session_id: str) -> Principal:
    """Whose session it is; cheap, because it counts nothing."""
    where, mine = _scope(principal)
    query = f"SELECT s.principal_kind, s.principal_id FROM sessions s WHERE s.id = ? AND {where}"
    row = db.execute(query, (session_id, *mine)).fetchone()
    if row is None:
        raise NotFound(NO_SESSION.format(session_id))
    return as_principal(row[0], row[1])


def _visible(db: sqlite3.Connection, principal: Principal, session_id: str) -> SessionInfo:
    where, mine = _scope(principal)
    row = db.execute(f"{_INFO} WHERE s.id = ? AND {where}", (session_id, *mine)).fetchone()
    if row is None:
        raise NotFound(NO_SESSION.format(session_id))
    return _info(row)


def _latest(
    db: sqlite3.Connection, principal: Principal, channel: str, unanswered: Mapping[str, str]
) -> SessionInfo | None:
    """The session that was asked last; `unanswered` is session -> a question that is not in the history yet."""
    own, mine = f"{_OWN} AND s.unlisted IN ('', ?)", (principal.kind, principal.id, channel)
    row = db.execute(f"{_INFO} WHERE s.newest > 0 AND {own} ORDER BY s.newest DESC LIMIT 1", mine).fetchone()
    newest = "SELECT m.turn_id FROM sessions s JOIN messages m ON m.id = s.newest WHERE s.id = ?"
    answered = NO_ID if row is None else db.execute(newest, (row[0],)).fetchone()[0]
    later = ((turn, session) for session, turn in unanswered.items() if turn > answered)
    for _, session in sorted(later, reverse=True):
        if found := db.execute(f"{_INFO} WHERE s.id = ? AND {own}", (session, *mine)).fetchone():
            return _info(found)
    return None if row is None else _info(row)


def _forget_unused(db: sqlite3.Connection, principal: Principal, used: Collection[str]) -> None:
    unused = f"FROM sessions s WHERE {_OWN} AND s.newest = 0"
    mine = (principal.kind, principal.id)
    if db.execute(f"SELECT count(*) {unused}", mine).fetchone()[0] < UNUSED:
        return
    oldest = (row[0] for row in db.execute(f"SELECT s.id {unused} ORDER BY s.id", mine).fetchall())
    forgotten = [(session_id,) for session_id in oldest if session_id not in used][: UNUSED // 10]
    if not forgotten:
        raise Busy(f"{UNUSED:,} conversations in which nothing was asked yet are open; ask something in one of them.")
    db.executemany("DELETE FROM sessions WHERE id = ?", forgotten)
    # Calls that were handed back are in no history, but in the record of their turn.
    db.executemany(_ERASE, [(ERASED, session_id) for (session_id,) in forgotten])


def _named(db: sqlite3.Connection, principal: Principal, name: str) -> SessionInfo | None:
    row = db.execute(
        f"{_INFO} WHERE {_OWN} AND s.name = ? AND s.name != ''", (principal.kind, principal.id, name)
    ).fetchone()
    return None if row is None else _info(row)


def _page(
    principal: Principal, session_id: str, after: int, db: sqlite3.Connection
) -> tuple[int, Sequence[StoredMessage]]:
    _whose(db, principal, session_id)
    return history.page(db, session_id, after)
