"""What the child has sent for one request and nobody has read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from agentd.ports.generation import Finish, QueuePosition, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage


class ChildDied(Exception):
    """The child has ended, and the answer with it; the message says how it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """The request has a sequence. If not `reading` yet, its prompt waits for those of others."""

    reading: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Working:
    """The model is generating, but there is nothing to show yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The tokens that were counted or read ahead."""

    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The embedding model is loaded."""

    dimension: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Vectors:
    """4-byte little-endian floats in base64."""

    data: str


Item = (
    TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | QueuePosition
    | Reading
    | Usage
    | Finish
    | Placed
    | Working
    | Tokens
    | Opened
    | Vectors
)


class Answer:
    """Never holds more than the answer itself: it joins text to text, and replaces an earlier position or progress."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._items: deque[Item] = deque()
        self._error: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._due = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def put(self, item: Item) -> None:
        if self._items:
            self._add(item)
        else:
            self._items.append(item)
        self._wake()

    def _add(self, item: Item) -> None:
        match self._items[-1], item:
            case TextDelta(text=before), TextDelta(text=after):
                self._items[-1] = TextDelta(text=before + after)
            case ReasoningDelta(text=before), ReasoningDelta(text=after):
                self._items[-1] = ReasoningDelta(text=before + after)
            case (QueuePosition(), QueuePosition()) | (Reading(), Reading()) | (Working(), _):
                self._items[-1] = item
            case _:
                self._items.append(item)

    def fail(self, error: Exception) -> None:
        """Nothing more will come; `next` raises `error` after everything that came before it."""
        self._error = error
        self._wake()

    def close(self) -> None:
        """Nobody will call `next` any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    async def next(self, seconds: float) -> Item:
        """The next item, for a single reader; `TimeoutError` if none comes in time."""
        if not self._items and self._error is None:
            await self._arrival(seconds)
        if self._items:
            return self._items.popleft()
        assert self._error is not None
        raise self._error

    async def _arrival(self, seconds: float) -> None:
        """Wait. A timer for each item would cost more than the item, so one timer stays and checks when it fires."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        if self._alarm is None or self._alarm.when() > self._due:
            self.close()
            self._alarm = loop.call_at(self._due, self._ring)
        self._reader = loop.create_future()
        try:
            if not await self._reader:
                raise TimeoutError
        finally:
            self._reader = None

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        self._alarm = None
        if self._reader is None or self._reader.done():
            return
        if loop.time() < self._due:
            self._alarm = loop.call_at(self._due, self._ring)
        else:
            self._reader.set_result(False)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(True)
