"""All that is pending, as tests look at it."""

from __future__ import annotations

from agentd.ports.work import PendingTurn, WorkList

MANY = 1_000_000


async def unfinished(pending: WorkList) -> dict[str, PendingTurn]:
    """Every pending turn by its id, the oldest first."""
    return {turn.id: turn for turn in await pending.oldest(MANY)}
