"""What people think of answers, in `agentd.db`: for each answer the newest mark of each principal."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agentd.errors import NotFound
from agentd.ports.clock import Clock
from agentd.records import Principal
from agentd.storage.store import Store
from agentd.storage.values import as_principal, as_stored, as_text, as_time

Verdict = Literal["good", "bad"]

_MINE = "principal_kind = ? AND principal_id = ?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One opinion about the answer of one turn."""

    turn_id: str
    session_id: str
    principal: Principal
    verdict: Verdict
    note: str
    time: datetime


class Marks:
    """Principals see their own marks, the owner sees all; raises `StateError` or `Busy` as `Store` does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def set(self, principal: Principal, session_id: str, turn_id: str, verdict: Verdict, note: str = "") -> None:
        """Mark the answer of a turn; this replaces an earlier mark of the same principal.

        The caller has checked that the principal may see the session. `NotFound` if it is gone.
        """
        now = as_stored(self._clock.now())
        values = (turn_id, principal.kind, principal.id, session_id, verdict, note, now)

        def write(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
                raise NotFound(f"session {session_id} was deleted; /sessions lists them.")
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?, ?)", values)

        await self._store.write(write)

    async def of_session(self, principal: Principal, session_id: str) -> Sequence[Mark]:
        """The marks that a principal sees in a session, in the order of the turns."""
        everything = principal.kind == "owner"
        where, mine = ("1", ()) if everything else (_MINE, (principal.kind, principal.id))
        query = (
            "SELECT turn_id, session_id, principal_kind, principal_id, mark, note, time FROM marks"
            f" WHERE session_id = ? AND {where} ORDER BY turn_id, principal_kind, principal_id"
        )
        rows = await self._store.read(lambda db: db.execute(query, (session_id, *mine)).fetchall())
        return [
            Mark(
                turn_id=turn,
                session_id=session,
                principal=as_principal(kind, owner),
                verdict=verdict,
                note=as_text(note),
                time=as_time(time),
            )
            for turn, session, kind, owner, verdict, note, time in rows
        ]
