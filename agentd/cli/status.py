"""`agentd status`: is it well, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from agentd.cli.attach import served
from agentd.plain import plain
from agentd.status_text import status_lines


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same figures for programs")


def run(options: argparse.Namespace) -> int:
    status = asyncio.run(_status(options))
    print(json.dumps(status, indent=2) if options.json else "\n".join(map(plain, status_lines(status))))
    return 0


async def _status(options: argparse.Namespace) -> dict[str, Any]:
    return await served(options, lambda client: client.get("status"), name="agentd status")
