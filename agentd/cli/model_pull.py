"""`agentd model pull`: the progress of a download, and its result."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from agentd.cli.say import say
from agentd.models.library.catalogue import catalogue
from agentd.models.library.download import Progress
from agentd.models.library.pull import Pulled, pull
from agentd.models.library.shelf import Shelf
from agentd.models.library.sources import read_source
from agentd.models.llama.files import readable


def pull_model(options: argparse.Namespace, shelf: Shelf) -> Path:
    """Pull the model that the options name, and say how that went; returns the model's path."""
    source = read_source(options.target, catalogue())
    pulled = _with_progress(lambda progress: pull(source, shelf, progress, name=options.name, replace=options.replace))
    say("\n".join(lines(pulled)))
    if not options.use:
        say(f"`agentd model use {pulled.model.name}` chooses it")
    return pulled.model.path


def lines(pulled: Pulled) -> list[str]:
    model, record = pulled.model, pulled.model.record
    if not pulled.fresh:
        return [f"{model.name} is here already and complete; nothing was downloaded"]
    said = [f"{model.name} is here: {model.path} ({readable(model.size)})"]
    if record is not None:
        said.append(f"from {record.source}" + (f" at revision {record.revision}" if record.revision else ""))
        said.append(f"sha256 {record.sha256}" + (f", licence {record.licence}" if record.licence else ""))
    return said


def _with_progress(work: Callable[[Progress], Pulled]) -> Pulled:
    """Draw the progress on standard error."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as drawn:
        task = drawn.add_task("asking", total=None)

        def told(what: str, done: int, size: int) -> None:
            drawn.update(task, description=what, completed=done, total=size)

        return work(told)
