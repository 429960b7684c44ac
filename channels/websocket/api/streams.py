"""What streams of events have sent, so that a later one goes on from there and answers are known to have arrived.

An event's id is `EPOCH:N` of the feed and, behind that, `:STREAM:ANSWERS`: which stream sent it, and how many answers
that had sent by then. Who comes back with it has all of those.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from agentd.errors import UsageError
from agentd.records import Principal
from agentd.serving.protocol import Cursor
from agentd.serving.visits import Visit

STREAMS = 1000
"""Streams that are remembered after their end."""
ANSWERS = 1000
"""Answers that are remembered of each stream, and acknowledged ones of all."""
K = TypeVar("K")
V = TypeVar("V")
_POSITION = re.compile(r"([0-9a-f]{1,32}):(\d{1,15})(?::(\d{1,15}):(\d{1,15}))?|:(\d{1,15}):(\d{1,15})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place in what is told: behind `cursor`, if it is known, and behind the first `answers` of `stream`."""

    cursor: Cursor | None
    stream: int = 0
    answers: int = 0

    def __str__(self) -> str:
        cursor = f"{self.cursor.epoch}:{self.cursor.n}" if self.cursor else ""
        return f"{cursor}:{self.stream}:{self.answers}"


def position_of(text: str) -> Position:
    """The place that the id of an event names; `UsageError` for what is not one."""
    if (found := _POSITION.fullmatch(text)) is None:
        raise UsageError("Last-Event-ID is not the id of an event; leave it out to begin with what is now.")
    epoch, n, stream, answers, bare_stream, bare_answers = found.groups()
    return Position(
        cursor=Cursor(epoch=epoch, n=int(n)) if epoch else None,
        stream=int(stream or bare_stream or 0),
        answers=int(answers or bare_answers or 0),
    )


@dataclass(kw_only=True, slots=True)
class Stream:
    """One stream: whose it is, and the ids of the newest answers that it has `sent`, of `count` in all."""

    number: int
    principal: Principal
    sent: deque[str] = field(default_factory=lambda: deque(maxlen=ANSWERS))
    count: int = 0

    def send(self, answer: str) -> None:
        self.sent.append(answer)
        self.count += 1

    def first(self, answers: int) -> list[str]:
        """The ids of its first answers, as far as they are remembered."""
        return list(self.sent)[: max(0, answers - (self.count - len(self.sent)))]


class Streams:
    """The streams of one gateway, and which answers arrived over them."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._open: list[tuple[Principal, Visit]] = []
        self._streams: OrderedDict[int, Stream] = OrderedDict()
        self._arrived: OrderedDict[tuple[Principal, str], None] = OrderedDict()

    @contextmanager
    def begin(self, principal: Principal, visit: Visit, after: Position | None) -> Iterator[Stream]:
        """A new stream until the end of the block; what the one had sent that it goes on `after` has arrived."""
        earlier = self._streams.get(after.stream) if after else None
        if after is not None and earlier is not None and earlier.principal == principal:
            self.acknowledge(principal, earlier.first(after.answers))
        stream = Stream(number=next(self._numbers), principal=principal)
        self._streams[stream.number] = stream
        _bound(self._streams, STREAMS)
        self._open.append(place := (principal, visit))
        try:
            yield stream
        finally:
            self._open.remove(place)

    def acknowledge(self, principal: Principal, answers: Sequence[str]) -> None:
        """These answers are safe with their principal."""
        for whose, visit in self._open:
            if whose == principal:
                visit.acknowledge(answers)
        for answer in answers:
            self._arrived[principal, answer] = None
        _bound(self._arrived, ANSWERS)

    def arrived(self, principal: Principal, answer: str) -> bool:
        """Whether it is known that this answer is safe."""
        return (principal, answer) in self._arrived


def _bound(kept: OrderedDict[K, V], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
