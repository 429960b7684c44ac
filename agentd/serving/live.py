"""What a client has heard without having asked for it, until somebody reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from agentd.serving import protocol

MAX_LIVE = 4096
MAX_LIVE_BYTES = 32 * 1024 * 1024
"""Live messages that are kept for a reader that is behind, and bytes of them; of what is dropped it is told."""


class LiveMessages:
    """In their order, for one reader, until `end`."""

    def __init__(self) -> None:
        self.kept: deque[tuple[protocol.ServerMessage, int]] = deque()
        """Each with the bytes that it came in."""
        self.size = 0
        """The bytes of all of them."""
        self._ended = False
        self._news = asyncio.Event()

    def put(self, message: protocol.ServerMessage, size: int) -> None:
        """Of a reader that is far behind only the newest answers are kept."""
        if len(self.kept) >= MAX_LIVE or self.size + size > MAX_LIVE_BYTES:
            self._drop(size)
            self.kept.append((protocol.Truncated(session=getattr(message, "session", "")), 0))
        self.kept.append((message, size))
        self.size += size
        self._news.set()

    def _drop(self, size: int) -> None:
        """Make room. An answer that is dropped was not acknowledged, so that the daemon still has it."""
        answers = deque(pair for pair in self.kept if isinstance(pair[0], protocol.Answer))
        self.size = sum(s for _, s in answers)
        while answers and (len(answers) > MAX_LIVE // 2 or self.size + size > MAX_LIVE_BYTES):
            self.size -= answers.popleft()[1]
        self.kept = answers

    def end(self) -> None:
        """No message comes any more."""
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[protocol.ServerMessage]:
        while True:
            while self.kept:
                message, size = self.kept.popleft()
                self.size -= size
                yield message
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()
