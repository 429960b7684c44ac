"""Processes that are forked for one life each, so that a life costs no start of an interpreter; fork before threads."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.prove.told import Tell, teller
from tests.prove.world import Found, Item, World

DEADLINE = 60.0


class Life:
    """A child that runs `work`, and what it tells; it is gone when `end` returns."""

    def __init__(self, work: Callable[[Tell], Awaitable[None]], *, wait_for_go: bool = False) -> None:
        self._out, told = os.pipe()
        going, self._go = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._out)
            os.close(self._go)
            _live(work, told, going if wait_for_go else -1)
        os.close(told)
        os.close(going)
        self._rest = b""
        self._unheard: deque[dict[str, Any]] = deque()
        self._open = True
        self.status: int | None = None

    def go(self) -> None:
        os.write(self._go, b"!")

    def lines(self, *, until: float) -> Iterator[dict[str, Any]]:
        """What it tells until it ends, or until that moment of `time.monotonic` when nothing more is there to read."""
        while True:
            while self._unheard:
                yield self._unheard.popleft()
            left = until - time.monotonic()
            if not self._open:
                return
            if select.select([self._out], [], [], max(0.0, left))[0]:
                self._read()
            elif left <= 0:
                return

    def rest(self) -> Iterator[dict[str, Any]]:
        """What it told before it died."""
        yield from self.lines(until=time.monotonic() + DEADLINE)
        if self._open:
            self.kill()
            raise TimeoutError(f"the process {self.pid} did not end within {DEADLINE:g} s")

    def _read(self) -> None:
        data = os.read(self._out, 1 << 16)
        self._open = bool(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._unheard.extend(json.loads(line) for line in whole)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._out)
        os.close(self._go)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status


def _live(work: Callable[[Tell], Awaitable[None]], told: int, going: int) -> None:
    """The child, which never returns into the code of its parent."""
    code = 1
    try:
        logging.disable(logging.CRITICAL)
        if going >= 0:
            os.read(going, 1)
        tell = teller(told)
        try:
            asyncio.run(_call(work, tell))
            code = 0
        except Exception:
            tell({"crashed": traceback.format_exc()[-2000:]})
    finally:
        os._exit(code)


async def _call(work: Callable[[Tell], Awaitable[None]], tell: Tell) -> None:
    await work(tell)


class Listener:
    """Takes what a life tells into the world, and keeps what was wrong."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[str] = []
        self.found: Found | None = None
        self.failure = ""
        self.aside = 0

    def hear(self, line: dict[str, Any]) -> None:
        if "found" in line:
            self.found = {key: Item(**fields) for key, fields in line["found"].items()}
            self.aside = line["aside"]
            self.violations += self._world.check(self.found)
        elif "crashed" in line:
            self.failure = line["crashed"]
        else:
            self._world.told(line)
