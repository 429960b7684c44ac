"""Typed publish and subscribe: a durable event is on disk before anybody is told, and no reader holds up another."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from agentd.clock import SystemClock
from agentd.events import Event, GenerationChunk, InboundEvent, OutboundEvent
from agentd.ids import IdSource
from agentd.ports.bus import Gap, Stamped
from agentd.ports.clock import Clock
from agentd.ports.work import Pending

log = logging.getLogger(__name__)

T = TypeVar("T")

MERGED = 1024
"""Chunks of up to this many characters are merged with the next one, so that a slow reader costs little."""


@dataclass(slots=True, eq=False)
class _Publication:
    event: InboundEvent | OutboundEvent
    handed_on: asyncio.Future[None]
    stored: bool = False


def merge_chunks(earlier: Event, later: Event) -> Event | None:
    """One chunk for two that follow each other, None if they do not."""
    if (
        isinstance(earlier, GenerationChunk)
        and isinstance(later, GenerationChunk)
        and (earlier.turn_id, earlier.attempt, earlier.reasoning) == (later.turn_id, later.attempt, later.reasoning)
        and earlier.n + len(earlier.text) == later.n
        and len(earlier.text) < MERGED
    ):
        return later.model_copy(update={"n": earlier.n, "text": earlier.text + later.text})
    return None


class Reader(Generic[T]):
    """A bounded queue with one reader; items that wait may be merged, and an overflow becomes one `Gap`."""

    def __init__(self, size: int, merge: Callable[[T, T], T | None], closed: Callable[[Reader[T]], None]) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._merge = merge
        self._closed = closed
        self._missed = 0
        self._open = True
        self._wake = asyncio.Event()

    def put(self, item: T) -> None:
        """Never waits and never raises."""
        if self._items and (merged := self._merge(self._items[-1], item)) is not None:
            self._items[-1] = merged
        elif len(self._items) >= self._size:
            self._missed += len(self._items) + 1
            self._items.clear()
        else:
            self._items.append(item)
        self._wake.set()

    def miss(self, count: int) -> None:
        """Tell the reader that it did not get `count` items."""
        self._missed += count
        self._wake.set()

    def close(self) -> None:
        """Unsubscribe; the iteration ends."""
        if self._open:
            self._open = False
            self._closed(self)
            self._wake.set()

    async def __aiter__(self) -> AsyncIterator[T | Gap]:
        while True:
            if self._missed:
                missed, self._missed = self._missed, 0
                yield Gap(missed=missed)
            elif self._items:
                yield self._items.popleft()
            elif not self._open:
                return
            else:
                self._wake.clear()
                await self._wake.wait()


class EventBus:
    """Hands every event first to the `reducers`, at once and in order, then to the queues of its subscribers.

    Reducers are plain functions that keep a state which must never lag behind (the conversations, the feed). An event
    without an id gets one of `ids` and the time of `clock`.
    """

    def __init__(
        self,
        pending: Pending,
        reducers: Sequence[Callable[[Event], None]] = (),
        *,
        ids: IdSource | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._pending = pending
        self._reducers = tuple(reducers)
        self._ids = ids or IdSource()
        self._clock = clock or SystemClock()
        self._readers: list[tuple[tuple[type[Event], ...], Reader[Event]]] = []
        self._publications: dict[str, deque[_Publication]] = {}
        """Session -> what was published and not yet handed on, in order."""

    def subscribe(self, *types: type[Event], name: str, size: int = 256) -> Reader[Event]:
        """Events of these types from now on; without types, all events. `name` is for the log."""

        def remove(reader: Reader[Event]) -> None:
            log.debug("%s unsubscribed", name)
            self._readers = [pair for pair in self._readers if pair[1] is not reader]

        reader: Reader[Event] = Reader(size, merge_chunks, remove)
        self._readers.append((types, reader))
        return reader

    async def publish(self, event: Event) -> None:
        """Returns when the event is durable, if it is of that kind, and handed on.

        Once begun, it completes even if the caller is cancelled. Durable events of one session are handed on in the
        order in which they were published; `NotAccepted` or `StateError` if the disk did not take it.
        """
        if not isinstance(event, InboundEvent | OutboundEvent):
            self.announce(event)
            return
        publication = _Publication(event, asyncio.get_running_loop().create_future())
        self._publications.setdefault(event.session_id, deque()).append(publication)
        self._pending.begin(event, partial(self._ended, publication))
        await publication.handed_on

    def _ended(self, publication: _Publication, error: BaseException | None) -> None:
        session_id = publication.event.session_id
        waiting = self._publications[session_id]
        if error is None:
            publication.stored = True
        else:
            waiting.remove(publication)
            if publication.handed_on.done():
                log.debug("an event was not published, and its publisher no longer waits: %s", error)
            else:
                publication.handed_on.set_exception(error)
        while waiting and waiting[0].stored:
            first = waiting.popleft()
            self.announce(first.event)
            if not first.handed_on.done():
                first.handed_on.set_result(None)
        if not waiting:
            self._publications.pop(session_id, None)

    def stamped(self, event: Stamped) -> Stamped:
        """The event with an id and a time; if it has them already, it stays as it is."""
        if event.id:
            return event
        return event.model_copy(update={"id": self._ids.next(), "time": self._clock.now()})

    def announce(self, event: Event) -> None:
        """Hand on at once an event that need not be durable or already is; for callers that cannot wait."""
        event = self.stamped(event)
        for reducer in self._reducers:
            try:
                reducer(event)
            except Exception:
                log.exception("a reducer failed on %s", event.type)
        for types, reader in self._readers:
            if not types or isinstance(event, types):
                reader.put(event)
