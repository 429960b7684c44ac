"""What is pending, in memory: turns in id order, whatever order they come in, and the newest bodies."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Collection, Iterator

from agentd.errors import StateError
from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.work import Counts, PendingTurn

BODIES = 256
"""How many bodies are kept, so that an event that was just written need not be read again."""
LONGEST_BODY = 16 * 1024
"""An event whose text is longer than this many characters is not kept; it is read again."""


class Index:
    """Used on the event loop only; iterates in id order."""

    def __init__(self, turns: dict[str, PendingTurn]) -> None:
        self._turns = turns
        self._order = sorted(turns)
        self._keys = {turn.dedupe_key: turn.id for turn in turns.values() if turn.dedupe_key}
        self._names = {e.outbound_id: e.id for e in turns.values() if e.outbound_id and e.outbound_id != e.id}
        """Id of the answer -> name of its file, if the two differ."""
        self._undelivered = sum(1 for turn in turns.values() if turn.outbound_id)
        self._bodies: OrderedDict[str, InboundEvent | OutboundEvent] = OrderedDict()

    def __iter__(self) -> Iterator[PendingTurn]:
        return (self._turns[name] for name in self._order)

    def __contains__(self, name: object) -> bool:
        return name in self._turns

    def get(self, name: str) -> PendingTurn | None:
        """The turn whose file has this name."""
        return self._turns.get(name)

    def known(self, name: str) -> PendingTurn:
        """The same; `StateError` if it is not pending."""
        turn = self._turns.get(name)
        if turn is None:
            raise StateError(f"{name} is not pending: it was acked or buried before.")
        return turn

    def put(self, turn: PendingTurn, body: InboundEvent | OutboundEvent | None = None) -> None:
        """Add a turn, or replace the one of the same name; turns may come out of order."""
        if turn.id in self._turns:
            self._forget(turn.id)
        else:
            insort(self._order, turn.id)
        self._turns[turn.id] = turn
        if turn.dedupe_key:
            self._keys[turn.dedupe_key] = turn.id
        if turn.outbound_id:
            self._undelivered += 1
            if turn.outbound_id != turn.id:
                self._names[turn.outbound_id] = turn.id
        if body is not None and len(body.text) <= LONGEST_BODY:
            self._bodies[turn.id] = body
            if len(self._bodies) > BODIES:
                self._bodies.popitem(last=False)

    def note(self, turn: PendingTurn) -> None:
        """Replace a turn by its newer state; it is still the same question or answer."""
        self._turns[turn.id] = turn

    def remove(self, name: str) -> None:
        if name in self._turns:
            self._forget(name)
            del self._turns[name]
            del self._order[bisect_left(self._order, name)]

    def _forget(self, name: str) -> None:
        """Forget everything by which a turn is found, except its position in the order, and its body."""
        turn = self._turns[name]
        if self._keys.get(turn.dedupe_key) == name:
            del self._keys[turn.dedupe_key]
        self._names.pop(turn.outbound_id, None)
        self._undelivered -= bool(turn.outbound_id)
        self._bodies.pop(name, None)

    def body(self, name: str) -> InboundEvent | OutboundEvent | None:
        """The event, if it is one of the newest."""
        return self._bodies.get(name)

    # --- questions of `ports.WorkList` ---

    def unanswered(self, channels: Collection[str] | None) -> list[PendingTurn]:
        return [turn for turn in self if not turn.outbound_id and _is_of(turn, channels)]

    def undelivered(self, channels: Collection[str] | None) -> list[PendingTurn]:
        return [turn for turn in self if turn.outbound_id and _is_of(turn, channels)]

    def oldest(self, limit: int) -> list[PendingTurn]:
        return [self._turns[name] for name in self._order[:limit]]

    def find(self, id: str) -> PendingTurn | None:
        return self._turns.get(id) or self._turns.get(self._names.get(id, ""))

    def by_key(self, key: str) -> PendingTurn | None:
        return self._turns.get(self._keys.get(key, ""))

    def counts(self) -> Counts:
        return Counts(unanswered=len(self._turns) - self._undelivered, undelivered=self._undelivered)


def _is_of(turn: PendingTurn, channels: Collection[str] | None) -> bool:
    return channels is None or turn.address.channel in channels
