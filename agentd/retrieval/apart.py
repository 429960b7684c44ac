"""Reads and cuts files in a child process with limits; a file that kills or hangs the child is skipped."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from agentd.host.limits import ChildLimits, end, how_it_ended, last_words, reap, start
from agentd.retrieval.chunks import Chunk
from agentd.retrieval.documents import Document
from agentd.retrieval.readers import Unreadable
from agentd.retrieval.reading import LENGTH
from agentd.retrieval.walk import Found

log = logging.getLogger(__name__)

MODULE = "agentd.retrieval.reading"
FILES = 500
"""How many files one child reads."""
LIMITS = ChildLimits(memory=768 << 20, files=32, file_size=0)
START_SECONDS, READ_SECONDS, CUT_SECONDS, CUT_SECONDS_PER_MIB = 30.0, 20.0, 20.0, 10.0
"""How long a child may take to start, to read one file, and to cut it."""
LONGEST_ANSWER = 64 << 20
"""Maximum bytes of an answer without the text."""


class Reading:
    """Reads files one by one; use it in one task."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._child: asyncio.subprocess.Process | None = None
        self._words: asyncio.Task[bytes] | None = None
        self._files = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def document(self, found: Found, known: str) -> Document | None:
        """The document in a file; None if its hash is the `known` one. `Unreadable` says why there is none."""
        return await self._document({"path": found.path, "root": found.root, "known": known})

    async def uploaded(self, name: str, data: bytes, known: str) -> Document | None:
        """The same for bytes that were uploaded under a name."""
        return await self._document({"name": name, "size": len(data), "known": known}, data)

    async def _document(self, request: dict[str, Any], data: bytes = b"") -> Document | None:
        if self._files >= FILES:
            await self._end()
        child = self._child or await self._start()
        self._files += 1
        try:
            return await self._ask(child, request, data)
        except TimeoutError:
            await self._end()
            raise Unreadable("it takes too long to read; split it, or omit it") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Unreadable(f"reading it failed: {await self._how_it_ended(child)}; omit it") from None
        except BaseException:
            await self._end()  # its late answer would be taken for the next one
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        child = await start(MODULE, (), LIMITS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        self._child, self._files = child, 0
        self._words = asyncio.create_task(last_words(child), name="words of the child that reads files")
        return child

    async def _ask(self, child: asyncio.subprocess.Process, request: dict[str, Any], data: bytes) -> Document | None:
        head = json.dumps({**request, "limit": self._max_bytes}).encode()
        assert child.stdin is not None
        child.stdin.write(LENGTH.pack(len(head)) + head + data)
        async with asyncio.timeout(READ_SECONDS if self._files > 1 else START_SECONDS + READ_SECONDS):
            await child.stdin.drain()
            read = await _answer(child)
        _check(read)
        if read["same"]:
            return None
        async with asyncio.timeout(CUT_SECONDS + CUT_SECONDS_PER_MIB * read["bytes"] / 2**20):
            told = await _answer(child)
            assert child.stdout is not None
            text = await child.stdout.readexactly(told["text"])
        return await asyncio.to_thread(_document, told, text)

    async def _end(self) -> None:
        if (child := self._child) is None:
            return
        self._child = None
        assert self._words is not None
        self._words.cancel()
        with suppress(asyncio.CancelledError):
            await self._words
        await reap(child)

    async def _how_it_ended(self, child: asyncio.subprocess.Process) -> str:
        self._child = None
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await child.wait()
        end(child)
        assert self._words is not None
        words = (await self._words).decode("utf-8", "replace")
        reason = how_it_ended(await reap(child), LIMITS, words)
        log.warning("the child that reads files ended: %s", reason)
        return reason


async def _answer(child: asyncio.subprocess.Process) -> dict[str, Any]:
    assert child.stdout is not None
    (size,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    if size > LONGEST_ANSWER:
        raise Unreadable("it has too many parts; split it")
    data = await child.stdout.readexactly(size)
    told: dict[str, Any] = json.loads(data) if size < 1 << 16 else await asyncio.to_thread(json.loads, data)
    return told


def _check(told: dict[str, Any]) -> None:
    if "unreadable" in told:
        raise Unreadable(told["unreadable"], gone=told["gone"])


def _document(told: dict[str, Any], data: bytes) -> Document:
    text = data.decode()
    return Document(
        source=told["source"],
        title=told["title"],
        content_hash=told["content_hash"],
        bytes=told["bytes"],
        modified=datetime.fromisoformat(told["modified"]),
        text=text,
        chunks=[
            Chunk(heading=told["headings"][heading], start=start, end=end, text=text[start:end])
            for heading, start, end in told["chunks"]
        ],
    )
