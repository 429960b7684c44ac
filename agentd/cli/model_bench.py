"""`agentd model bench`: how fast a model reads prompts and writes answers on this machine."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
from pathlib import Path

from agentd.cli.say import say, say_json, warn
from agentd.config import Settings
from agentd.models.assembly import llama_model
from agentd.models.library.shelf import Shelf
from agentd.models.llama import machine
from agentd.models.speed import Speed, measure, median

PROMPT_TOKENS, ANSWER_TOKENS = 512, 64


def bench_model(options: argparse.Namespace, settings: Settings, shelf: Shelf, path: Path) -> None:
    """Load the model, measure it, and print the medians."""
    speed = asyncio.run(_measured(settings, shelf, path, options.rounds, quiet=options.json))
    threads = settings.model.threads or machine.free_threads()
    if options.json:
        say_json({"model": path.stem, "threads": threads, **asdict(speed)})
    else:
        say("\n".join(lines(path.stem, speed, threads)))


def lines(name: str, speed: Speed, threads: int) -> list[str]:
    """The figures, and what they mean for a person who waits."""
    write = f"{speed.write:,.1f} tokens/s" if speed.write else "not measured: it ended after one token"
    return [
        f"{name}, {threads} thread{'s' if threads > 1 else ''}",
        f"  reads   {speed.read:,.1f} tokens/s  (prompt of {speed.read_tokens} tokens)",
        f"  writes  {write}  (answer of {speed.written_tokens} tokens)",
        f"  first word after {speed.first_token:.1f} s; 2,000 tokens of documents would take"
        f" {2000 / speed.read:.0f} s to read",
    ]


async def _measured(settings: Settings, shelf: Shelf, path: Path, rounds: int, *, quiet: bool) -> Speed:
    options = settings.model
    speeds: list[Speed] = []
    async with llama_model(path, options, shelf) as model:
        async for speed in measure(model, prompt_tokens=PROMPT_TOKENS, answer_tokens=ANSWER_TOKENS, rounds=rounds):
            speeds.append(speed)
            if not quiet:
                said = f"round {len(speeds)} of {rounds}: reads {speed.read:,.1f}, writes {speed.write:,.1f} tokens/s"
                warn(said)
    return median(speeds)
