"""`agentd open`: open the page of the running daemon in a browser, and let that browser in."""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import sys
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agentd.cli.attach import running_client
from agentd.cli.common import load_settings
from agentd.cli.say import put, warn
from agentd.errors import AgentdError, Unreachable
from agentd.host.ownership import open_own
from agentd.serving.protocol import PageTicket

FILE = "open.html"
"""In the state directory: it leads a browser to the page. The command of a browser can be read by everybody."""
_TO = '<!doctype html><meta charset="utf-8"><title>agentd</title><meta http-equiv="refresh" content="0;url={}">'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", dest="shown", action="store_true", help="print the address instead")


def run(options: argparse.Namespace) -> int:
    _, state_dir = load_settings(options)
    asyncio.run(show(state_dir, printed=options.shown))
    return 0


async def show(state_dir: Path, *, printed: bool = False) -> None:
    """Open the page of the daemon that runs on this directory, or print its address; `Unreachable` if none runs."""
    ticket = await _ticket(state_dir)
    address = f"{here(ticket.address)}/#ticket={ticket.ticket}"
    if not printed and has_browser(os.environ) and await asyncio.to_thread(_opened, state_dir / FILE, address):
        warn(f"agentd: opening {ticket.address} in your browser. If nothing opens, type `agentd open --print`.")
        return
    put(sys.stdout, f"{address}\n", flush=True)
    warn(f"agentd: this address lets one browser in, once and within {ticket.seconds:g} s.")


async def _ticket(state_dir: Path) -> PageTicket:
    client = await running_client(state_dir, "agentd open", False)
    if client is None:
        raise Unreachable("no daemon runs; start one with `agentd run`, then type `agentd open` again.")
    async with client:
        return await client.ticket()


def here(address: str) -> str:
    """The address on this machine of a daemon that listens on all of the machine's."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def has_browser(environ: Mapping[str, str]) -> bool:
    """Whether a browser with a window can be there: one in a terminal cannot show the page."""
    return sys.platform == "darwin" or any(environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _opened(file: Path, address: str) -> bool:
    with suppress(OSError, AgentdError):
        descriptor = open_own(str(file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with open(descriptor, "w", encoding="utf-8") as page:
            page.write(_TO.format(html.escape(address)))
        return webbrowser.open(file.as_uri())
    return False
