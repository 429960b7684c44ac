"""`agentd run`: the daemon in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from agentd.cli.common import load_settings
from agentd.daemon import Daemon
from agentd.paths import daemon_sockets


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def run(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings, state_dir = load_settings(options)
    sockets = daemon_sockets(os.environ, state_dir)
    daemon = Daemon(settings, state_dir, sockets=sockets)
    asyncio.run(_serve(daemon, f"agentd is ready: pid {os.getpid()}, socket {sockets[0][0]}"))
    return 0


async def _serve(daemon: Daemon, ready_line: str) -> None:
    stop, fast = asyncio.Event(), asyncio.Event()

    def asked(name: str) -> None:
        if stop.is_set():
            logging.getLogger("agentd").warning("%s again: stopping at once", name)
            fast.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number.name)
    await daemon.run(stop=stop, fast=fast, ready=lambda: print(ready_line, flush=True))
