"""`agentd ingest`: read documents, so that answers can be found in them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agentd.cli.attach import served
from agentd.cli.say import say, warn
from agentd.errors import UsageError
from agentd.host.paths import absolute
from agentd.serving.client import Client
from agentd.serving.protocol import MAX_UPLOAD_BYTES, IngestState
from agentd.text.characters import whole
from agentd.text.plain import plain


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="text and Markdown files, or folders")
    parser.add_argument(
        "--upload",
        action="store_true",
        help="send the content of these files; also works for users whose paths the daemon may not read",
    )


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_ingest(options))


async def _ingest(options: argparse.Namespace) -> int:
    paths = [_nameable(absolute(path)) for path in options.paths]

    async def read(client: Client) -> IngestState:
        return await (_upload(client, paths) if options.upload else show_progress(client.ingest(paths)))

    result = await served(options, read, name="agentd ingest")
    for name, reason in result.skipped:
        warn(f"skipped {name}: {reason}")
    if told := summary(result):
        say(told)
    return 1 if result.skipped else 0


async def _upload(client: Client, paths: Sequence[Path]) -> IngestState:
    """Send the files one by one, each under its own name; a file that cannot be read is skipped."""
    states, unread = [], []
    for path in paths:
        try:
            data = await asyncio.to_thread(_bytes, path)
        except UsageError as error:
            unread.append((str(path), str(error)))
        else:
            states.append(await show_progress(client.upload(path.name, data)))
    counted = ("found", "done", "added", "changed", "unchanged", "removed", "chunks")
    total = {name: sum(getattr(state, name) for state in states) for name in counted}
    skipped = (*unread, *(pair for state in states for pair in state.skipped))
    return IngestState(re="", **total, skipped=skipped, finished=True)


def _bytes(path: Path) -> bytes:
    """The content of a file; if it is too long, no more of it than shows that."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_UPLOAD_BYTES + 1)
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}; --upload takes files that you may read") from None
    if len(data) > MAX_UPLOAD_BYTES:
        raise UsageError(f"it has more than {MAX_UPLOAD_BYTES:,} bytes; split it")
    return data


def _nameable(path: Path) -> Path:
    if str(path) != whole(str(path)):
        raise UsageError(f"the name {path} is not UTF-8; name its folder instead, which can be read.")
    return path


async def show_progress(states: AsyncIterator[IngestState]) -> IngestState:
    """Draw the progress on standard error until the end; returns the last state."""
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
    """One line for a person, which says so if nothing changed; "" if every file was skipped."""
    if not (state.added or state.changed or state.removed or state.unchanged):
        return "" if state.skipped else "there is nothing to read"
    if not (state.added or state.changed or state.removed):
        documents = "1 document is" if state.unchanged == 1 else f"{state.unchanged} documents are"
        return f"nothing changed: {documents} up to date"
    parts = [f"{state.added} added", f"{state.changed} changed", f"{state.removed} removed"]
    passages = "1 passage" if state.chunks == 1 else f"{state.chunks} passages"
    return f"{', '.join(parts)}, {state.unchanged} unchanged ({passages} written)"
