"""All that is pending, as tests look at it."""

from __future__ import annotations

from agentd.ports.work import Entry, WorkList

MANY = 1_000_000


async def unfinished(pending: WorkList) -> dict[str, Entry]:
    """Every entry by its id, the oldest first."""
    return {entry.id: entry for entry in await pending.oldest(MANY)}
