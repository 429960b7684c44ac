"""What the child has told one request and its reader has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from agentd.generation import Finish, QueuePosition, ReasoningDelta, TextDelta, ToolCallDelta, Usage


class ChildDied(Exception):
    """The child is gone, and with it what it was generating; the message says how it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """The request waits no longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Working:
    """The model goes on, but there is nothing to show yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The answer to a question for a count."""

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
    | Usage
    | Finish
    | Placed
    | Working
    | Tokens
    | Opened
    | Vectors
)


class Answer:
    """Holds no more than the answer itself: text that follows text is merged, a new position replaces the old one."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._items: deque[Item] = deque()
        self._error: Exception | None = None
        self._arrived = asyncio.Event()

    def put(self, item: Item) -> None:
        last = self._items[-1] if self._items else None
        match last, item:
            case TextDelta(text=before), TextDelta(text=after):
                self._items[-1] = TextDelta(text=before + after)
            case ReasoningDelta(text=before), ReasoningDelta(text=after):
                self._items[-1] = ReasoningDelta(text=before + after)
            case (QueuePosition(), QueuePosition()) | (Working(), _):
                self._items[-1] = item
            case _:
                self._items.append(item)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; `error` is raised once everything before it was taken."""
        self._error = error
        self._arrived.set()

    async def next(self, seconds: float) -> Item:
        """The next item; `TimeoutError` if none comes in time."""
        if not self._items and self._error is None:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._arrived.wait()
        if self._items:
            item = self._items.popleft()
            if not self._items and self._error is None:
                self._arrived.clear()
            return item
        assert self._error is not None
        raise self._error
