"""What is pending, in memory: entries in id order, whatever order they come in, and the newest bodies."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Collection, Iterator

from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.work import Counts, Entry

BODIES = 256
"""How many bodies are kept, so that an event that was just written need not be read again."""
LONGEST_BODY = 16 * 1024
"""An event whose text is longer than this many characters is not kept; it is read again."""


class Index:
    """Used on the event loop only; iterates in id order."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._order = sorted(entries)
        self._keys = {entry.dedupe_key: entry.id for entry in entries.values() if entry.dedupe_key}
        self._names = {e.outbound_id: e.id for e in entries.values() if e.outbound_id and e.outbound_id != e.id}
        """Id of the answer -> name of its file, if the two differ."""
        self._undelivered = sum(1 for entry in entries.values() if entry.outbound_id)
        self._bodies: OrderedDict[str, InboundEvent | OutboundEvent] = OrderedDict()

    def __iter__(self) -> Iterator[Entry]:
        return (self._entries[name] for name in self._order)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> Entry | None:
        """The entry whose file has this name."""
        return self._entries.get(name)

    def put(self, entry: Entry, body: InboundEvent | OutboundEvent | None = None) -> None:
        """Add an entry, or replace the one of the same name; entries may come out of order."""
        if entry.id in self._entries:
            self._forget(entry.id)
        else:
            insort(self._order, entry.id)
        self._entries[entry.id] = entry
        if entry.dedupe_key:
            self._keys[entry.dedupe_key] = entry.id
        if entry.outbound_id:
            self._undelivered += 1
            if entry.outbound_id != entry.id:
                self._names[entry.outbound_id] = entry.id
        if body is not None and len(body.text) <= LONGEST_BODY:
            self._bodies[entry.id] = body
            if len(self._bodies) > BODIES:
                self._bodies.popitem(last=False)

    def note(self, entry: Entry) -> None:
        """Replace an entry by its newer state; it is still the same question or answer."""
        self._entries[entry.id] = entry

    def remove(self, name: str) -> None:
        if name in self._entries:
            self._forget(name)
            del self._entries[name]
            del self._order[bisect_left(self._order, name)]

    def _forget(self, name: str) -> None:
        """Forget everything by which an entry is found, except its position in the order, and its body."""
        entry = self._entries[name]
        if self._keys.get(entry.dedupe_key) == name:
            del self._keys[entry.dedupe_key]
        self._names.pop(entry.outbound_id, None)
        self._undelivered -= bool(entry.outbound_id)
        self._bodies.pop(name, None)

    def body(self, name: str) -> InboundEvent | OutboundEvent | None:
        """The event, if it is one of the newest."""
        return self._bodies.get(name)

    # --- questions of `ports.WorkList` ---

    def unanswered(self, channels: Collection[str] | None) -> list[Entry]:
        return [entry for entry in self if not entry.outbound_id and _is_of(entry, channels)]

    def undelivered(self, channels: Collection[str] | None) -> list[Entry]:
        return [entry for entry in self if entry.outbound_id and _is_of(entry, channels)]

    def oldest(self, limit: int) -> list[Entry]:
        return [self._entries[name] for name in self._order[:limit]]

    def find(self, id: str) -> Entry | None:
        return self._entries.get(id) or self._entries.get(self._names.get(id, ""))

    def by_key(self, key: str) -> Entry | None:
        return self._entries.get(self._keys.get(key, ""))

    def counts(self) -> Counts:
        return Counts(unanswered=len(self._entries) - self._undelivered, undelivered=self._undelivered)


def _is_of(entry: Entry, channels: Collection[str] | None) -> bool:
    return channels is None or entry.address.channel in channels
