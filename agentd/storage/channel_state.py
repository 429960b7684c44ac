"""What channels must still know after a restart, an offset for example, in `agentd.db`."""

from __future__ import annotations

import sqlite3

from agentd.storage.store import Store, as_text
from agentd.text.characters import whole


class ChannelState:
    """A few durable texts by key; each channel has keys of its own."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel

    async def get(self, key: str) -> str | None:
        """The text that was put last, None if there is none; what it says is for the caller to check."""

        def find(db: sqlite3.Connection) -> str | None:
            row = db.execute(
                "SELECT value FROM channel_state WHERE channel = ? AND key = ?", (self._channel, key)
            ).fetchone()
            return None if row is None else as_text(row[0])

        return await self._store.read(find)

    async def put(self, key: str, value: str | None) -> None:
        """Durable when it returns; None forgets the key."""
        if value is None:
            query, values = "DELETE FROM channel_state WHERE channel = ? AND key = ?", (self._channel, key)
            await self._store.write(lambda db: db.execute(query, values).rowcount)
            return
        row = (self._channel, key, whole(value))
        replace = "INSERT OR REPLACE INTO channel_state (channel, key, value) VALUES (?, ?, ?)"
        await self._store.write(lambda db: db.execute(replace, row).rowcount)
