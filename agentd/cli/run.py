"""`agentd run`: the daemon in the foreground, until SIGTERM, SIGINT or SIGHUP."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
from pathlib import Path

from agentd.cli.attach import running_client
from agentd.cli.chat import DECLINED, offer_documents
from agentd.cli.common import load_settings, model_option
from agentd.cli.logs import log_to_standard_error
from agentd.cli.open import show
from agentd.cli.say import Unwritable, discard, put, say, warn
from agentd.cli.stopping import StopSignals
from agentd.cli.takeover import Takeover
from agentd.daemon import Daemon
from agentd.errors import AgentdError, StateInUse
from agentd.host.notify import Notifier
from agentd.host.paths import daemon_sockets
from agentd.serving.gate import WEB

log = logging.getLogger(__name__)

HEALTH_SECONDS = 1.0
"""How often to check whether messages are refused; the check writes nothing."""


def arguments(parser: argparse.ArgumentParser) -> None:
    model_option(parser)
    parser.add_argument("--open", action="store_true", help="open the page, also that of a daemon that runs already")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def run(options: argparse.Namespace) -> int:
    log_to_standard_error(options.log_level.upper(), "%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings, state_dir = load_settings(options)
    if options.open and asyncio.run(_opened(state_dir)):
        return 0
    limits = settings.daemon
    sockets = daemon_sockets(os.environ, state_dir)
    daemon = Daemon(settings, state_dir, sockets=sockets)
    signals = StopSignals(grace=limits.grace, hard_limit=limits.hard_limit)
    ready_line = f"agentd is ready: pid {os.getpid()}, socket {sockets[0][0]}"
    asyncio.run(_serve(daemon, state_dir, signals, ready_line, page=options.open))
    _tell()
    return 0


async def _opened(state_dir: Path) -> bool:
    """Open the page of the daemon that runs on this directory; False if none runs, or one that will hand over."""
    client = await running_client(state_dir, "agentd run --open", False)
    if client is None:
        return False
    async with client:
        if (await client.status()).daemon.in_process:
            return False
    await show(state_dir)
    return True


async def _welcome(state_dir: Path) -> None:
    """Offer the first documents to the person at the terminal, then open the page."""
    try:
        client = await running_client(state_dir, "agentd run --open", False)
        if client is not None:
            async with client:
                await offer_documents(client, state_dir / DECLINED)
        await show(state_dir)
    except AgentdError as error:  # the daemon goes on without a page
        warn(f"agentd: {error}")


def _tell(*lines: str) -> None:
    """Print lines; the daemon goes on, and ends well, even if nobody reads its standard output."""
    try:
        for line in lines:
            say(line)
        put(sys.stdout, "", flush=True)
    except (BrokenPipeError, Unwritable):
        discard(sys.stdout)


def how_to_talk(*, page: bool) -> str:
    """What a person at a terminal is told; `page` says whether the daemon serves one."""
    way = "`agentd chat`, or `agentd open` for a page in the browser," if page else "`agentd chat`"
    return f"To talk to it, type {way} in another terminal. Ctrl-C here stops it."


def _found(channel: str, address: str) -> str:
    """Where people find a channel."""
    if channel == WEB:
        return f"the page is at {address}; `agentd open` opens it"
    return f"channel {channel} is at {address}"


async def _serve(daemon: Daemon, state_dir: Path, signals: StopSignals, ready_line: str, *, page: bool) -> None:
    stop, fast = asyncio.Event(), asyncio.Event()
    takeover = Takeover(state_dir, stop)
    notifier = Notifier()

    def asked(name: str) -> None:
        if stop.is_set():
            log.warning("%s again: stopping at once", name)
            fast.set()
        else:
            notifier.stopping()
        stop.set()

    def ready() -> None:
        gc.freeze()  # a full collection stops the loop while it walks, and what the start made is no garbage
        _tell(ready_line, *(_found(name, address) for name, address in daemon.addresses.items()))
        if sys.stdout is not None and sys.stdout.isatty():
            _tell(how_to_talk(page=WEB in daemon.addresses))
        notifier.ready(ready_line)
        if page:
            beside.append(asyncio.create_task(_welcome(state_dir), name="page for who started it"))

    signals.follow(asked)
    beside = [
        asyncio.create_task(_tell_health(daemon, notifier, ready_line), name="health for systemd"),
        asyncio.create_task(notifier.watchdog(daemon.is_well), name="watchdog"),
    ]
    try:
        while not stop.is_set():
            try:
                await daemon.run(stop=stop, fast=fast, ready=ready)
            except StateInUse as refusal:
                await takeover.wait(refusal)
    finally:
        for task in beside:
            task.cancel()


async def _tell_health(daemon: Daemon, notifier: Notifier, well: str) -> None:
    """Update the status that systemd shows, whenever it changes, until cancelled."""
    told = ""
    while True:
        problem = "; ".join(await daemon.refusals())
        if problem != told:
            notifier.status(problem or well)
            told = problem
        await asyncio.sleep(HEALTH_SECONDS)
