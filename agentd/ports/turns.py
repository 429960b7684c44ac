"""How turns ended: the record that outlives them, and makes a repeated offer of the same message harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentd.events import InboundEvent, OutboundEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedTurn:
    """How a turn ended, and the digest of what was asked."""

    turn_id: str
    session_id: str
    content_digest: str
    outbound: OutboundEvent


class EndedTurns(Protocol):
    async def finish(self, inbounds: Sequence[InboundEvent], outbound: OutboundEvent) -> None:
        """One transaction: what was asked, what was answered, and how the turns ended. Twice is the same as once.

        Without inbounds the outbound is a message of ours. Commands and decisions leave nothing in the history, and
        nothing is written there for a session that was deleted meanwhile.
        """
        ...

    async def make_way(self, inbound: InboundEvent) -> None:
        """Show only what comes before the turn that this one replaces. Twice is the same as once, and so is none if
        there is no such turn any more.
        """
        ...

    async def finished(self, turn_id: str) -> OutboundEvent | None:
        """What `finish` recorded for this turn, byte for byte once it is encoded; None while it has not ended.

        None as well if the record is damaged: the turn may be answered once more.
        """
        ...

    async def by_dedupe_key(self, key: str) -> FinishedTurn | None:
        """The turn that ended and was asked for under this key."""
        ...

    async def reopen(self, inbound: InboundEvent) -> None:
        """Forget how a turn ended that is to run once more; its history stays.

        `UsageError` if the same message has become another turn since.
        """
        ...

    async def purge(self) -> int:
        """Forget the turns that ended so long ago that nobody offers their messages again; returns how many."""
        ...
