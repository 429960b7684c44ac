"""`agentd model check`: in which ways llama.cpp can run a model here, how fast they are, and what the model can do."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agentd.cli.say import say, say_json, warn
from agentd.config import Settings
from agentd.errors import AgentdError, ModelError
from agentd.models.assembly import llama_model
from agentd.models.gpu import gpu_found
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.probe import Probed
from agentd.models.llama.verdict import Verdict
from agentd.models.llama.ways import BY_NAME, Way, allowed
from agentd.models.speed import measure

PROMPT_TOKENS, ANSWER_TOKENS = 256, 24
"""How much is measured for each way: enough to tell them apart, and little enough to wait for."""
READ_TOKENS, WRITTEN_TOKENS = 500, 60
"""The tokens of a question with passages and of its answer, by which ways are compared."""
WORTH_IT = 0.9
"""A plainer way is chosen for its speed if it takes less than this share of the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The result of one way: `why` it does not work, or tokens per second (0 if they could not be measured)."""

    way: str
    why: str = ""
    read: float = 0.0
    write: float = 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds for a question and its answer; None if that is not known."""
        return READ_TOKENS / self.read + WRITTEN_TOKENS / self.write if self.read and self.write else None


def check_model(options: argparse.Namespace, settings: Settings, shelf: Shelf, path: Path) -> None:
    """Try every way and keep the results; `ModelError` if none works."""
    gguf = files.inspect(path)
    ways = ways_here(settings)
    kept = Checks(shelf.directory / checks.NAME)
    kept.forget_file(path)
    verdict.forget(kept, gguf.types, ways)
    rows = asyncio.run(_tried(settings, path, ways))
    judged = judge(rows)
    verdict.keep(kept, gguf.types, ways, judged)
    used = judged.way.name if judged.way else None
    habits = asyncio.run(_tried_out(settings, shelf, path)) if used is not None else None
    if options.json:
        told = {
            "model": path.stem,
            "path": str(path),
            "types": gguf.types,
            "ways": list(map(asdict, rows)),
            "used": used,
            "tools": habits is not None and habits.tools,
            "cites": habits is not None and habits.cites,
        }
        say_json(told)
    else:
        say("\n".join(lines(path.stem, rows, judged.switched_off(ways), used)))
        if habits is not None:
            say(f"{path.stem}: {habits.calling}; sources are cited {habits.citing}.")
    if used is None:
        raise ModelError(f"{path.stem} does not run on this machine; choose another model.")


def ways_here(settings: Settings) -> tuple[Way, ...]:
    """The ways that the settings and this machine allow. Blocks while llama.cpp looks for a GPU."""
    layers = settings.model.gpu_layers
    return allowed(gpu=bool(gpu_found()) if layers is None else layers != 0)


def judge(rows: Sequence[Row]) -> Verdict:
    """The first way that works, unless a later one is clearly faster."""
    problems = {row.way: row.why for row in rows if row.why}
    working = [row for row in rows if not row.why]
    if not working:
        return Verdict(way=None, problems=problems)
    best = working[0]
    for row in working[1:]:
        if best.seconds and row.seconds and row.seconds < WORTH_IT * best.seconds:
            best = row
    if best is not working[0]:
        took = f"a question took {working[0].seconds:.1f} s instead of {best.seconds:.1f} s"
        problems = {working[0].way: took} | problems
    before = rows.index(best)
    return Verdict(
        way=BY_NAME[best.way], problems={row.way: problems[row.way] for row in rows[:before] if row.way in problems}
    )


def lines(name: str, rows: Sequence[Row], switched_off: str, used: str | None) -> list[str]:
    """The table, and what follows from it."""
    width = max(len("way"), *(len(row.way) for row in rows))
    table = [f"{'way':<{width}}  {'reads':>8}  {'writes':>8}  tokens/s"]
    for row in rows:
        read, write = (f"{speed:,.1f}" if speed else "-" for speed in (row.read, row.write))
        table.append(
            f"{row.way:<{width}}  {read:>8}  {write:>8}  {f'does not work: {row.why}' if row.why else ''}".rstrip()
        )
    if used is not None:
        table.append(f"{name} runs with {used} from its next load on.")
    return [*table, *filter(None, [switched_off])]


async def _tried(settings: Settings, path: Path, ways: Sequence[Way]) -> list[Row]:
    rows: list[Row] = []
    for number, way in enumerate(ways, start=1):
        warn(f"way {number} of {len(ways)}: {way.name} ...")
        rows.append(await _row(settings, path, way))
    return rows


async def _tried_out(settings: Settings, shelf: Shelf, path: Path) -> Probed | None:
    """What the model does with tools and with passages; None if it gives no answers."""
    warn("tools and citations ...")
    async with llama_model(path, settings.model, shelf) as model:
        try:
            await model.start()
            return await model.try_out()
        except AgentdError as error:
            warn(f"{path.stem} could not be tried out: {error}")
            return None


async def _row(settings: Settings, path: Path, way: Way) -> Row:
    async with llama_model(path, settings.model, None, way=way.name) as model:
        try:
            await model.start()
        except ModelError as error:
            return Row(way=way.name, why=_short(error, path))
        try:
            (speed,) = [
                speed
                async for speed in measure(model, prompt_tokens=PROMPT_TOKENS, answer_tokens=ANSWER_TOKENS, rounds=1)
            ]
        except ModelError as error:
            return Row(way=way.name, why=_short(error, path) if model.state == "failed" else "")
    return Row(way=way.name, read=round(speed.read, 1), write=round(speed.write, 1))


def _short(error: ModelError, path: Path) -> str:
    return str(error).removeprefix(f"{path.stem} ").removesuffix(".")
