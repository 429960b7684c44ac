"""Summaries of what no longer fits into prompts, in `agentd.db`.

A summary tells of one branch up to a turn, so it counts only while that turn is shown: no other branch leaks from it.
"""

from __future__ import annotations

import sqlite3

from agentd.errors import Busy, NotFound
from agentd.ids import NO_ID
from agentd.ports.clock import Clock
from agentd.ports.sessions import Summary
from agentd.storage.store import Store
from agentd.storage.values import as_stored, as_text

NONE = Summary(text="", through=NO_ID)
KEPT = 20
"""Summaries of one session that are kept, the newest: each branch needs its own."""


class Summaries:
    """Raises `StateError` or `Busy` as `Store` does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def of(self, session_id: str) -> Summary:
        """The summary that tells most of what is shown; an empty one if there is none."""

        def read(db: sqlite3.Connection) -> Summary:
            row = db.execute(_SHOWN, (session_id,)).fetchone()
            return NONE if row is None else Summary(text=as_text(row[0]), through=as_text(row[1]))

        return await self._store.read(read)

    async def keep(self, session_id: str, summary: Summary, model: str, *, after: str = NO_ID) -> None:
        """Keep a summary, durable when this returns; it took in the one through the turn `after`.

        `NotFound` if the session was deleted. `Busy` if another branch was selected while it was made: nobody knows
        then whether it tells of one branch alone.
        """
        now = as_stored(self._clock.now())

        def write(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
                raise NotFound("the session was deleted meanwhile.")
            if not all(_is_shown(db, session_id, turn) for turn in (summary.through, after) if turn != NO_ID):
                raise Busy("another branch was selected meanwhile.")
            db.execute(
                "INSERT OR REPLACE INTO summaries (session_id, through, text, model, time) VALUES (?, ?, ?, ?, ?)",
                (session_id, summary.through, summary.text, model, now),
            )
            db.execute(_FORGET, (session_id, session_id, KEPT))

        await self._store.write(write)


_SHOWN = """
SELECT s.text, s.through FROM summaries s CROSS JOIN messages m
ON m.turn_id = s.through AND +m.session_id = s.session_id AND +m.aside = 0
WHERE s.session_id = ? ORDER BY m.id DESC LIMIT 1
"""
_FORGET = """
DELETE FROM summaries WHERE session_id = ? AND through NOT IN
    (SELECT through FROM summaries WHERE session_id = ? ORDER BY time DESC LIMIT ?)
"""


def _is_shown(db: sqlite3.Connection, session_id: str, turn_id: str) -> bool:
    query = "SELECT 1 FROM messages WHERE turn_id = ? AND +session_id = ? AND +aside = 0 LIMIT 1"
    return db.execute(query, (turn_id, session_id)).fetchone() is not None
