"""A real daemon in a subprocess, which tests start, talk to and kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from agentd.serving.client import Client

DEADLINE = 60.0
WEBSOCKET = "AGENTD_CHANNELS__WEBSOCKET__ENABLED"
"""Switches the gateway off, whose port two daemons cannot share; tests of the gateway set a port of their own."""


class DaemonProcess:
    """`agentd run` on a state directory; with `program`, another module that takes the same arguments."""

    def __init__(
        self,
        state_dir: Path,
        *arguments: str,
        program: str = "agentd",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.socket = state_dir / "agentd.sock"
        self.log = state_dir.parent / f"{state_dir.name}.log"
        self._command = [sys.executable, "-m", program, "run", "--state-dir", str(state_dir), *arguments]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTD_")}
        self._environment = {**inherited, WEBSOCKET: "false", **(environment or {})}
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            await self.end(signal.SIGKILL)

    async def start(self) -> None:
        """Returns when the daemon has said that it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            line = await self.process.stdout.readline()
        assert b"agentd is ready" in line, self.log.read_text()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code (negative: the signal that killed it)."""
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    @asynccontextmanager
    async def client(self, *, acks: bool = True) -> AsyncIterator[Client]:
        async with await Client.connect(self.socket, name="test", acks=acks) as client:
            yield client


def processes_of(state_dir: Path) -> list[int]:
    """Processes whose command line names the state directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(state_dir).encode() in command:
                found.append(int(entry.name))
    return found
