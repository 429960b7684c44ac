"""A client for one command: of the running daemon, or of one that runs in this process for as long as needed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from agentd.cli.common import load_settings
from agentd.cli.logs import log_to_standard_error
from agentd.cli.say import warn
from agentd.config import Settings
from agentd.errors import Impostor, StateInUse, Stopping, Unreachable, UsageError
from agentd.host.deadline import Deadline
from agentd.host.paths import socket_candidates
from agentd.serving.client import Client, Disconnected

ATTACH_SECONDS = 30.0
"""How long a command waits for a daemon that is starting or stopping."""
BACK_SECONDS = 10.0
"""How long a lost daemon has to come back before one is run here: longer than systemd's RestartSec."""
POLL_SECONDS = 0.05
ATTEMPTS = 5

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def attached(options: argparse.Namespace, *, name: str, acks: bool = True) -> AsyncIterator[Client]:
    """Connect to a running daemon; if none runs, run one in this process until the block ends.

    The first time, a running daemon is refused if `--model` is given. Later these options may meet any daemon that
    replaces a lost one, and it gets time to start.
    """

    @asynccontextmanager
    async def own(settings: Settings, state_dir: Path) -> AsyncIterator[Client]:
        async with in_process(settings, state_dir) as socket:
            async with await Client.connect(socket, name=name, acks=acks) as client:
                yield client

    patience = BACK_SECONDS if _had_daemon(options) else 0.0
    async with running_or(options, own, name=name, acks=acks, patience=patience) as client:
        options.had_daemon = True
        yield client


@asynccontextmanager
async def running_or(
    options: argparse.Namespace,
    inside: Callable[[Settings, Path], AbstractAsyncContextManager[T]],
    *,
    name: str,
    acks: bool = False,
    patience: float = 0.0,
) -> AsyncIterator[Client | T]:
    """A client of the running daemon; if none runs, what `inside` makes under the lock of the state directory.

    If two commands start at once, the one that gets the lock goes on alone; the other one waits for it or connects to
    its daemon. `Unreachable` names a process that holds the lock and does not answer.
    """
    settings, state_dir = load_settings(options)
    began = time.monotonic()
    deadline = began + ATTACH_SECONDS
    while True:
        if (client := await running_client(state_dir, name, acks)) is not None:
            async with client:
                _refuse_model(options, client)
                _tell_unused(options, client)
                yield client
            return
        if time.monotonic() < began + patience:
            await asyncio.sleep(POLL_SECONDS)
            continue
        try:
            async with inside(settings, state_dir) as found:
                yield found
            return
        except StateInUse as error:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"process {error.pid} holds {state_dir} but does not answer on its socket; "
                    "look at its log, or stop it."
                ) from None
            await asyncio.sleep(POLL_SECONDS)


async def served(options: argparse.Namespace, work: Callable[[Client], Awaitable[T]], *, name: str) -> T:
    """Return what `work` returns with a client of `attached`; repeated as in `repeated`."""
    return await repeated(lambda: attached(options, name=name), work)


async def repeated(opened: Callable[[], AbstractAsyncContextManager[T]], work: Callable[[T], Awaitable[R]]) -> R:
    """Open something and return what `work` returns with it; both are repeated if the daemon stops in the middle."""
    for left in reversed(range(ATTEMPTS)):
        try:
            async with opened() as found:
                return await work(found)
        except (Disconnected, Stopping):
            if not left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _had_daemon(options: argparse.Namespace) -> bool:
    """Whether a daemon was found with these options before."""
    return getattr(options, "had_daemon", False)


def _refuse_model(options: argparse.Namespace, client: Client) -> None:
    if getattr(options, "model", None) is not None and not _had_daemon(options):
        raise UsageError(
            f"a daemon runs already (pid {client.welcome.pid}) and has its own model; "
            "omit --model, or choose its model with /model in `agentd chat`."
        )


def _tell_unused(options: argparse.Namespace, client: Client) -> None:
    """Say once which of these options the daemon ignores."""
    told: set[str] = vars(options).setdefault("told", set())
    keys = ", ".join(dict.fromkeys(key for key, _ in options.set))
    unused = {}
    if keys:
        unused["--set"] = f"settings, so it ignores --set for {keys}; stop it first, or change its configuration."
    if getattr(options, "model", None) is not None:
        unused["--model"] = "model, so it ignores --model; choose one with /model in `agentd chat`."
    for option, words in unused.items():
        if option not in told:
            told.add(option)
            warn(f"agentd: a daemon runs already (pid {client.welcome.pid}) and has its own {words}")


async def running_client(state_dir: Path, name: str, acks: bool) -> Client | None:
    for path in socket_candidates(os.environ, state_dir):
        try:
            return await Client.connect(path, name=name, acks=acks)
        except Impostor:
            raise
        except Unreachable as error:
            logging.getLogger(__name__).debug("%s", error)
    return None


@asynccontextmanager
async def in_process(settings: Settings, state_dir: Path) -> AsyncIterator[Path]:
    """Run a daemon with the terminal channel alone and yield its socket; `StateInUse` if another one runs.

    Only errors of its log are shown, and nothing of the model's process: the answer tells the person the rest.
    """
    from agentd.daemon import Daemon  # most of agentd, which a client of a running daemon does without
    from agentd.models.llama.process import child_log as model_log

    log_to_standard_error(logging.ERROR, "agentd: %(message)s")
    model_log.setLevel(logging.CRITICAL)
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
        deadline = Deadline()
        deadline.arm(settings.daemon.grace + settings.daemon.hard_limit)
        try:
            await task
        finally:
            deadline.disarm()
