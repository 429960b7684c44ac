"""Which messages were accepted before: each has a receipt that can be given again."""

from __future__ import annotations

from agentd.errors import IdReused
from agentd.events import InboundEvent
from agentd.ports.channels import Receipt
from agentd.ports.turns import EndedTurns
from agentd.ports.work import WorkList


class Receipts:
    """Of the unfinished turns in the pending directory, and of the ended ones."""

    def __init__(self, pending: WorkList, ended: EndedTurns) -> None:
        self._pending = pending
        self._ended = ended

    async def of(self, key: str, content: str) -> Receipt | None:
        """The receipt of an earlier offer, looked for among the unfinished turns, then among the ended ones.

        A turn leaves the first place only after it has entered the second, so that no offer falls between. Raises
        `IdReused` if the earlier offer had other content.
        """
        turn = await self._pending.by_key(key)
        if turn is not None:
            event = await self._pending.load(turn.id)
            if isinstance(event, InboundEvent):
                _same(content, event.content_digest)
                return Receipt(id=event.id, session_id=event.session_id, duplicate=True)
        finished = await self._ended.by_dedupe_key(key)
        if finished is None:
            return None
        _same(content, finished.content_digest)
        return Receipt(id=finished.turn_id, session_id=finished.session_id, duplicate=True, answer=finished.outbound)

    async def named(self, turn_id: str) -> Receipt | None:
        """The receipt of a turn, with its answer once it has ended; None for one that nobody knows (any more)."""
        if (turn := await self._pending.find(turn_id)) is not None and turn.id == turn_id and not turn.outbound_id:
            return Receipt(id=turn_id, session_id=turn.session_id, duplicate=True)
        if (outbound := await self._ended.finished(turn_id)) is None:
            return None
        return Receipt(id=turn_id, session_id=outbound.session_id, duplicate=True, answer=outbound)


def _same(offered: str, stored: str) -> None:
    if offered != stored:
        raise IdReused("this message id was already used for another text; give every message an id of its own.")
