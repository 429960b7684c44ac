"""The command `agentd`: finds the command's own file, imports only that, and turns every error into an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agentd import __version__
from agentd.errors import AgentdError, UsageError

COMMANDS = {
    "chat": ("agentd.cli.chat", "have a conversation in the terminal"),
    "ask": ("agentd.cli.ask", "ask one question; the answer goes to standard output"),
    "ingest": ("agentd.cli.ingest", "read documents, so that answers can be found in them"),
    "model": ("agentd.cli.model", "get, choose and measure language models"),
    "run": ("agentd.cli.run", "run the daemon in the foreground"),
    "status": ("agentd.cli.status", "tell whether all is well, and if not, what to do"),
    "delivery": ("agentd.cli.delivery", "look after what is pending and what is dead"),
    "config": ("agentd.cli.config", "check the configuration, or show it and where it comes from"),
}
"""Command -> its file, which has `arguments(parser)` and `run(options) -> exit code`, and one line of help.

A file with `ACTIONS` needs one of them as its first argument; without any argument the command prints its help.
"""

EXIT_CODES = {
    0: "done",
    1: "failure, which standard error explains; ingest: files were skipped; delivery: some letters stay as they were",
    2: "wrong usage",
    3: "no daemon can be reached",
    5: "a model could not answer, be loaded, be measured or be downloaded",
    78: "the configuration or the file of --model is wrong, or the state is from a newer agentd",
    124: "it took too long",
    130: "interrupted",
    141: "whoever reads standard output left",
}
WITH_VALUE = ("--config", "--state-dir", "--set")
"""Options of every command; each takes a value."""
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, as for a program that the signal ends."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of `EXIT_CODES`."""
    try:
        code = _dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except AgentdError as error:
        print(f"agentd: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it ends; nobody reads it any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    return code


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Ends by an exception of its own, so that `main` always returns."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self._print_message(message, sys.stderr)
        raise _Exit(status)


def _dispatch(argv: Sequence[str]) -> int:
    before, rest = _split(argv)
    try:
        options = _top_parser().parse_args(before)
        if not rest:
            _top_parser().print_help(sys.stderr)
            return UsageError.exit_code
        name = _known(rest[0])
        module = importlib.import_module(COMMANDS[name][0])
        parser = _Parser(prog=f"agentd {name}", description=module.__doc__, allow_abbrev=False)
        module.arguments(parser)
        _common_options(parser)
        if len(rest) == 1 and hasattr(module, "ACTIONS"):
            parser.print_help(sys.stderr)
            return UsageError.exit_code
        code: int = module.run(parser.parse_args(rest[1:], options))
    except _Exit as ended:
        return ended.code
    return code


def _split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The options before the command, and the rest, which only the command's own parser understands."""
    n = 0
    while n < len(argv) and argv[n].startswith("-"):
        n += 2 if argv[n] in WITH_VALUE else 1
    return argv[:n], argv[n:]


def _known(command: str) -> str:
    if command in COMMANDS:
        return command
    import difflib

    close = difflib.get_close_matches(command, COMMANDS, n=1)
    meant = f"did you mean {close[0]}?" if close else "`agentd --help` lists them."
    raise UsageError(f"there is no command {command!r}; {meant}")


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {help}" for name, (_, help) in COMMANDS.items())
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = _Parser(
        prog="agentd",
        usage="agentd [options] COMMAND ...",
        description="A local AI agent behind many channels that never loses a message.",
        epilog=f"commands (each has its own --help):\n{commands}\n\nexit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"agentd {__version__}")
    _common_options(parser)
    return parser


def _common_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command; they may stand before or after its name, and the later value wins."""
    group = parser.add_argument_group("options of every command")
    group.add_argument("--config", type=Path, metavar="FILE", help="read this configuration file")
    group.add_argument("--state-dir", type=Path, metavar="DIR", help="keep everything in this directory")
    group.add_argument(
        "--set",
        type=_assignment,
        action="append",
        metavar="KEY=VALUE",
        default=[],
        help="set one key of the configuration, as in --set model.context=4096; may be repeated",
    )


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError("must have the form KEY=VALUE, as in --set model.context=4096")
    return key.strip(), value
