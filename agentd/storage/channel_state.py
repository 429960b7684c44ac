"""What a channel must still know after a restart, such as an offset, in `agentd.db`."""

from __future__ import annotations

import sqlite3

from agentd.storage.store import Store
from agentd.storage.values import as_text
from agentd.text.characters import whole


class ChannelState:
    """A few durable texts by key; each channel has its own keys."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel

    async def get(self, key: str) -> str | None:
        """The newest text under this key, None if there is none; the caller has to check what it says."""

        def find(db: sqlite3.Connection) -> str | None:
            row = db.execute(
                "SELECT value FROM channel_state WHERE channel = ? AND key = ?", (self._channel, key)
            ).fetchone()
            return None if row is None else as_text(row[0])

        return await self._store.read(find)

    async def put(self, key: str, value: str | None) -> None:
        """Keep a text, durable when this returns; None deletes the key."""
        if value is None:
            query, values = "DELETE FROM channel_state WHERE channel = ? AND key = ?", (self._channel, key)
            await self._store.write(lambda db: db.execute(query, values).rowcount)
            return
        row = (self._channel, key, whole(value))
        replace = "INSERT OR REPLACE INTO channel_state (channel, key, value) VALUES (?, ?, ?)"
        await self._store.write(lambda db: db.execute(replace, row).rowcount)
