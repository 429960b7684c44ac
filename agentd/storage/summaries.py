"""Summaries of what no longer fits into prompts, in `agentd.db`: the newest one of each session."""

from __future__ import annotations

import sqlite3

from agentd.errors import NotFound
from agentd.ids import NO_ID
from agentd.ports.clock import Clock
from agentd.ports.sessions import Summary
from agentd.storage.store import Store
from agentd.storage.values import as_stored, as_text

NONE = Summary(text="", through=NO_ID)


class Summaries:
    """A later summary replaces the earlier one; raises `StateError` or `Busy` as `Store` does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def of(self, session_id: str) -> Summary:
        """The newest summary; an empty one if there is none."""

        def read(db: sqlite3.Connection) -> Summary:
            row = db.execute("SELECT text, through FROM summaries WHERE session_id = ?", (session_id,)).fetchone()
            return NONE if row is None else Summary(text=as_text(row[0]), through=as_text(row[1]))

        return await self._store.read(read)

    async def keep(self, session_id: str, summary: Summary, model: str) -> None:
        """Keep a summary, durable when this returns; `NotFound` if the session was deleted."""
        now = as_stored(self._clock.now())

        def write(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
                raise NotFound("the session was deleted meanwhile.")
            db.execute(
                "INSERT OR REPLACE INTO summaries (session_id, through, text, model, time) VALUES (?, ?, ?, ?, ?)",
                (session_id, summary.through, summary.text, model, now),
            )

        await self._store.write(write)
