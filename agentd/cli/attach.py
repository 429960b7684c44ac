"""A client for one command: of the daemon that runs, or of one that runs in this process for as long as needed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentd.cli.common import load_settings
from agentd.client import Client
from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.errors import StateInUse, Unreachable
from agentd.paths import socket_candidates

ATTACH_SECONDS = 30.0
"""How long a command waits for a daemon that is just starting or stopping."""
POLL_SECONDS = 0.05


@asynccontextmanager
async def attached(options: argparse.Namespace, *, name: str, acks: bool = True) -> AsyncIterator[Client]:
    """Connect to a running daemon; where none runs, run one in this process until the block ends.

    Two commands at once agree by the state directory's lock: the one that gets it runs the daemon, the other one
    connects to it. `Unreachable` names the process that holds the lock and does not answer.
    """
    settings, state_dir = load_settings(options)
    deadline = time.monotonic() + ATTACH_SECONDS
    while True:
        if (client := await _running(state_dir, name, acks)) is not None:
            async with client:
                yield client
            return
        try:
            async with in_process(settings, state_dir) as socket:
                async with await Client.connect(socket, name=name, acks=acks) as client:
                    yield client
            return
        except StateInUse as error:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"process {error.pid} holds {state_dir} but does not answer on its socket; "
                    "look at its log, or stop it."
                ) from None
            await asyncio.sleep(POLL_SECONDS)


async def _running(state_dir: Path, name: str, acks: bool) -> Client | None:
    import os

    for path in socket_candidates(os.environ, state_dir):
        if path.exists():
            try:
                return await Client.connect(path, name=name, acks=acks)
            except Unreachable as error:
                logging.getLogger(__name__).debug("%s", error)
    return None


@asynccontextmanager
async def in_process(settings: Settings, state_dir: Path) -> AsyncIterator[Path]:
    """Run a daemon with the terminal channel alone; gives its socket. `StateInUse` where another one runs."""
    socket = state_dir / "agentd.sock"
    daemon = Daemon(settings, state_dir, sockets=[(socket, 0o600)], channels=("terminal",))
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(daemon.run(stop=stop, ready=ready.set), name="daemon in this process")
    waiter = asyncio.create_task(ready.wait(), name="wait for the daemon")
    try:
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield socket
    finally:
        waiter.cancel()
        stop.set()
        await task
