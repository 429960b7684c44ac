"""The pending directory as its tests open it, on file operations that count, fail or wait."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentd.events import InboundEvent, OutboundEvent, encode
from agentd.host.files import OsFiles
from agentd.pending import PendingDirectory
from agentd.pending.file import digest, encode_file, seal
from agentd.testing.clock import FakeClock
from tests.builders import TIME


def directory(path: Path, files: OsFiles | None = None, clock: FakeClock | None = None) -> PendingDirectory:
    return PendingDirectory(path, files, clock=clock or FakeClock(TIME), threads=4, min_free_bytes=0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (what is waited for is set by threads)
            await asyncio.sleep(0)


def sealed(event: InboundEvent | OutboundEvent, body: bytes | None = None, **members: Any) -> bytes:
    """The file of an event with a body, or with members of its header, that are not its own; each checksum holds."""
    line, own = encode_file(event).split(b"\n", 1)
    body = own if body is None else body
    fields = {**json.loads(line), "len": len(body), "sha256": digest(body), **members}
    del fields["sum"]
    return seal(fields) + b"\n" + body


def version_1(event: InboundEvent | OutboundEvent) -> bytes:
    """The file of an event as version 1 wrote it."""
    body, to = encode(event), event.address
    key = event.dedupe_key if isinstance(event, InboundEvent) else ""
    answers = event.answers if isinstance(event, OutboundEvent) else ()
    address = [to.channel, to.account, to.chat, to.thread]
    index = [event.type, event.id, event.turn_id, event.session_id, key, address, answers]
    return seal({"v": 1, "len": len(body), "sha256": digest(body), "index": index}) + b"\n" + body


def in_pending(path: Path) -> list[str]:
    return sorted(name for name in os.listdir(path / "pending") if name != ".reserve")


class CountingFiles(OsFiles):
    """Counts syncs."""

    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, fd: int) -> None:
        self.syncs += 1
        super().sync(fd)


class FailingFiles(OsFiles):
    """Every sync fails with `number` while it is not 0."""

    number = 0

    def sync(self, fd: int) -> None:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        super().sync(fd)


class GatedFiles(OsFiles):
    """Syncs wait for the gate; `waiting` counts those that do."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0

    def sync(self, fd: int) -> None:
        self.waiting += 1
        assert self.gate.wait(10)
        self.waiting -= 1
        super().sync(fd)
