"""What is pending, in memory: entries in id order however they come, and the newest bodies."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.work import Entry

BODIES = 256
"""How many bodies are kept, so that what was just written need not be read again."""
LONGEST_BODY = 16 * 1024
"""Texts with more characters than this are read again."""


class Index(Mapping[str, Entry]):
    """A mapping that iterates in id order; used on the event loop only."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._order = sorted(entries)
        self._bodies: OrderedDict[str, InboundEvent | OutboundEvent] = OrderedDict()

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._order))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def put(self, entry: Entry, body: InboundEvent | OutboundEvent | None = None) -> None:
        """Add or replace an entry; messages that are accepted in parallel come out of order."""
        if entry.id not in self._entries:
            insort(self._order, entry.id)
        self._entries[entry.id] = entry
        self._bodies.pop(entry.id, None)
        if body is not None and len(body.text) <= LONGEST_BODY:
            self._bodies[entry.id] = body
            if len(self._bodies) > BODIES:
                self._bodies.popitem(last=False)

    def remove(self, name: str) -> None:
        if self._entries.pop(name, None) is not None:
            del self._order[bisect_left(self._order, name)]
            self._bodies.pop(name, None)

    def body(self, name: str) -> InboundEvent | OutboundEvent | None:
        """The event, if it is one of the newest."""
        return self._bodies.get(name)
