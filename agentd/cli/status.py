"""`agentd status`: is all well, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentd.cli.attach import repeated, running_or
from agentd.cli.say import say, say_json
from agentd.config import Settings
from agentd.serving.client import Client
from agentd.serving.protocol import StatusReport
from agentd.status.text import status_lines


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


def run(options: argparse.Namespace) -> int:
    status = asyncio.run(_status(options))
    if options.json:
        say_json(status.as_json())
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        say("\n".join(status_lines(status, columns=columns)))
    return 0 if status.pending is None or status.pending.accepts else 1


async def _status(options: argparse.Namespace) -> StatusReport:
    """The status of the running daemon, else of the state directory; asked again if the daemon stops meanwhile."""

    async def figures(found: Client | StatusReport) -> StatusReport:
        return await found.status() if isinstance(found, Client) else found

    return await repeated(lambda: running_or(options, _at_rest, name="agentd status"), figures)


@asynccontextmanager
async def _at_rest(settings: Settings, state_dir: Path) -> AsyncIterator[StatusReport]:
    from agentd.status.at_rest import status_at_rest

    # The figures say what is wrong; the log would say it a second time.
    logging.getLogger("agentd").addHandler(logging.NullHandler())
    yield await status_at_rest(settings, state_dir)
