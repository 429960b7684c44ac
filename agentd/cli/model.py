"""`agentd model`: get, choose and measure language models that run on this machine."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentd.cli.common import load_settings
from agentd.cli.model_names import by_name, chosen_name, path_of
from agentd.cli.say import say, say_json, warn
from agentd.config import Settings
from agentd.errors import ModelError, UsageError
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, machine, standing
from agentd.models.llama.checks import Checks
from agentd.serving.commands import NO_MODEL
from agentd.status.text import who_answers

MOST_ROUNDS = 100


def run(options: argparse.Namespace) -> int:
    settings, state_dir = load_settings(options)
    shelf = Shelf(state_dir)
    match options.action:
        case "list":
            from agentd.cli.model_list import list_lines, listed

            rows = listed(shelf, settings)
            _print(options, rows, lambda: list_lines(rows))
        case "pull":
            from agentd.cli.model_pull import pull_model

            path = pull_model(options, shelf)
            if options.use:
                choose(settings, state_dir, shelf, path)
        case "use":
            wanted = None if options.target == NO_MODEL else path_of(shelf, settings, options.target)
            choose(settings, state_dir, shelf, wanted)
        case "info":
            from agentd.cli.model_info import info_lines, known

            name = options.target or chosen_name(shelf, settings, action="info")
            facts = known(shelf, name, settings)
            _print(options, facts, lambda: info_lines(facts))
            if problem := facts.get("problem"):
                raise ModelError(problem)
        case "remove":
            say(_remove(shelf, settings, options.target))
        case "check":
            from agentd.cli.model_check import check_model

            name = options.target or chosen_name(shelf, settings, action="check")
            check_model(options, settings, shelf, path_of(shelf, settings, name))
        case _:
            from agentd.cli.model_bench import bench_model

            name = options.target or chosen_name(shelf, settings, action="bench")
            bench_model(options, settings, shelf, path_of(shelf, settings, name))
    return 0


def _print(options: argparse.Namespace, data: Any, lines: Callable[[], Sequence[str]]) -> None:
    if options.json:
        say_json(data)
    else:
        say("\n".join(lines()))


_NAME_OR_FILE = "a name from the list, or the path of a .gguf file"


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    _json_argument(parser)


def _pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="MODEL",
        help="a name from the list, OWNER/REPOSITORY/FILE.gguf[@REVISION] on a hub, a URL, or the path of a file",
    )
    parser.add_argument("--use", action="store_true", help="choose it, too")
    parser.add_argument("--name", help="keep it under this name")
    parser.add_argument("--replace", action="store_true", help="replace another model of the same name")


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="MODEL", help=f"{_NAME_OR_FILE}; `{NO_MODEL}` to use none")


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", metavar="MODEL", help=f"{_NAME_OR_FILE}; default: the chosen one")
    _json_argument(parser)


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="MODEL", help="a name from the list")


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    _info_arguments(parser)
    parser.add_argument("--rounds", type=_rounds, default=3, metavar="N", help="how often to measure (default 3)")


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_ROUNDS}")
    return int(text)


ACTIONS = {
    "list": (_list_arguments, "list the models on this machine and those that you can get"),
    "pull": (_pull_arguments, "get a model"),
    "use": (_use_arguments, "choose the model that answers"),
    "info": (_info_arguments, "show what is known about a model, and how it would run here"),
    "remove": (_remove_arguments, "delete a model"),
    "check": (_info_arguments, "test how llama.cpp can run a model here, and what the model can do"),
    "bench": (_bench_arguments, "measure how fast a model reads and writes here"),
}


def _remove(shelf: Shelf, settings: Settings, name: str) -> str:
    """Delete a model of the shelf; for a file outside of it, delete only its row. Returns a line for the person.

    `UsageError` for the model that is chosen.
    """
    path = by_name(shelf, settings).get(name)
    outside = path is not None and path.parent != shelf.directory
    if path is None or (path.is_file() and not outside):
        gone = shelf.remove(name)
        return f"{gone.name} is removed; {files.readable(gone.size)} are free again"
    if path.is_file() and path == shelf.answering(settings.model.path):
        raise UsageError(f"{path} lies outside of {shelf.directory}; agentd does not delete files there.")
    shelf.forget(path)
    return f"{name} is no longer listed; {path} " + ("stays where it is" if path.is_file() else "is gone already")


# --- use -------------------------------------------------------------------------------------------------------------


def choose(settings: Settings, state_dir: Path, shelf: Shelf, path: Path | None) -> None:
    """Tell a running daemon, then keep the choice; a model that the daemon refuses is not chosen."""
    if path is not None:
        _warn_of_memory(files.inspect(path), settings)
        if aside := standing.read(Checks(shelf.directory / checks.NAME), path).aside:
            raise ModelError(aside)
    answering = asyncio.run(_tell_daemon(state_dir, path))
    shelf.choose(path)
    say(_done(path, answering))
    configured = settings.model.path
    if configured is not None and configured != path:
        warn(
            f"warning: the configuration sets model.path = {configured}, which overrides this choice when agentd"
            " starts; remove it there"
        )
    if path is not None and "local" not in settings.model.order:
        warn("warning: model.order does not name `local`, so this model will not be asked after the next start")


def _done(path: Path | None, answering: str) -> str:
    """What became of the choice; `answering` says who answers in a running daemon, "" if none runs."""
    if path is None:
        return (
            f"no model is chosen; {answering} from now on; after a restart, no model in a file does"
            if answering
            else "no model is chosen; from the next start on, no model in a file answers"
        )
    if answering:
        return f"{path.stem} answers from now on, and after a restart"
    return f"{path.stem} is chosen; it answers from the next start on"


def _warn_of_memory(gguf: files.Gguf, settings: Settings) -> None:
    try:
        files.check_memory(gguf, context=settings.model.context, available=machine.available_memory())
    except ModelError as error:
        warn(f"warning: {error}")


async def _tell_daemon(state_dir: Path, path: Path | None) -> str:
    """Who answers in a running daemon then; "" if none runs. `AgentdError` if the daemon cannot do that."""
    from agentd.cli.attach import running_client

    client = await running_client(state_dir, "agentd model", False)
    if client is None:
        return ""
    async with client:
        if path is not None:
            warn(f"loading {path.stem} ...")
        await client.command(f"/model {path or NO_MODEL}")
        return who_answers(await client.status())
