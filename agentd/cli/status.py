"""`agentd status`: is it well, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from typing import Any

from agentd.cli.attach import served
from agentd.plain import plain
from agentd.status_text import status_lines


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same figures for programs")


def run(options: argparse.Namespace) -> int:
    status = asyncio.run(_status(options))
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(map(plain, status_lines(status, columns=columns))))
    return 0


async def _status(options: argparse.Namespace) -> dict[str, Any]:
    return await served(options, lambda client: client.get("status"), name="agentd status")
