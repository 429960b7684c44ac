"""`agentd status`: is it well, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from agentd.cli.attach import attached
from agentd.plain import plain


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same figures for programs")


def run(options: argparse.Namespace) -> int:
    status = asyncio.run(_status(options))
    print(json.dumps(status, indent=2) if options.json else "\n".join(lines(status)))
    return 0


async def _status(options: argparse.Namespace) -> dict[str, Any]:
    async with attached(options, name="agentd status") as client:
        return await client.get("status")


def lines(status: dict[str, Any]) -> list[str]:
    """The figures as a person reads them."""
    daemon, pending, documents, model = (status[key] for key in ("daemon", "pending", "documents", "model"))
    turns = status["turns"]
    where = "in this process" if daemon["in_process"] else f"pid {daemon['pid']}"
    owed = f"{pending['unanswered']} unanswered, {pending['undelivered']} undelivered, {pending['dead']} dead"
    shown = [
        ("agentd", f"{daemon['version']}, {where}"),
        ("state", f"{daemon['state_dir']}, {daemon['free_mb']:,} MB free"),
        ("model", f"{model['name']}: {model['note']}"),
        ("documents", f"{documents['documents']:,} ({documents['chunks']:,} passages)"),
        ("turns", f"{turns['running']} running, {turns['waiting']} waiting"),
        ("pending", owed),
        *((f"channel {c['name']}", ": ".join(filter(None, (c["state"], c["reason"])))) for c in status["channels"]),
        ("health", "; ".join(status["problems"]) or "well"),
    ]
    width = max(len(name) for name, _ in shown)
    return [plain(f"{name:<{width}}  {value}") for name, value in shown]
