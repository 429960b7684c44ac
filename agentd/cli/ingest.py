"""`agentd ingest`: read documents, so that answers can be found in them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agentd.cli.attach import served
from agentd.cli.say import say, warn
from agentd.errors import UsageError
from agentd.host.paths import absolute
from agentd.serving.protocol import IngestState
from agentd.text.characters import whole
from agentd.text.plain import plain


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="text and Markdown files, or folders")


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_ingest(options))


async def _ingest(options: argparse.Namespace) -> int:
    paths = [_nameable(absolute(path)) for path in options.paths]
    result = await served(options, lambda client: show_progress(client.ingest(paths)), name="agentd ingest")
    for name, reason in result.skipped:
        warn(f"skipped {name}: {reason}")
    if told := summary(result):
        say(told)
    return 1 if result.skipped else 0


def _nameable(path: Path) -> Path:
    if str(path) != whole(str(path)):
        raise UsageError(f"the name {path} is not UTF-8; name the folder that it lies in, which can be read.")
    return path


async def show_progress(states: AsyncIterator[IngestState]) -> IngestState:
    """Draw the progress on standard error until it is finished; the last state."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    state = IngestState(re="", found=0, done=0, added=0, changed=0, unchanged=0, removed=0, chunks=0)
    columns = (
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        async for state in states:
            name = plain(Path(state.current).name)
            progress.update(task, total=state.found or None, completed=state.done, description=name)
    return state


def summary(state: IngestState) -> str:
    """One line for a person; a run that changed nothing says so. "" where all that there was is skipped."""
    if not (state.added or state.changed or state.removed or state.unchanged):
        return "" if state.skipped else "there was nothing to read"
    if not (state.added or state.changed or state.removed):
        documents = "1 document is" if state.unchanged == 1 else f"{state.unchanged} documents are"
        return f"nothing changed: {documents} up to date"
    parts = [f"{state.added} added", f"{state.changed} changed", f"{state.removed} removed"]
    return f"{', '.join(parts)}, {state.unchanged} unchanged ({state.chunks} passages written)"
