"""The program `agentd`: imports only the file of the command that runs, and turns every error into an exit code."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agentd import __version__
from agentd.cli.advice import as_typed
from agentd.cli.exhausted import limit_met
from agentd.cli.say import discard, open_streams, put, warn
from agentd.errors import AgentdError, UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS = {
    "chat": ("agentd.cli.chat", "have a conversation in the terminal"),
    "ask": ("agentd.cli.ask", "ask one question; the answer goes to standard output"),
    "ingest": ("agentd.cli.ingest", "read documents to answer from"),
    "docs": ("agentd.cli.docs", "let others search documents that were read"),
    "model": ("agentd.cli.model", "get, choose and measure language models"),
    "run": ("agentd.cli.run", "run the daemon in the foreground"),
    "sessions": ("agentd.cli.sessions", "list, show, search, rename, delete and export conversations"),
    "status": ("agentd.cli.status", "is all well, and if not, what to do"),
    "open": ("agentd.cli.open", "open the page in a browser"),
    "token": ("agentd.cli.token", "give out tokens for programs, and revoke them"),
    "delivery": ("agentd.cli.delivery", "look after what is pending and what is dead"),
    "config": ("agentd.cli.config", "check the settings; show them and where they come from"),
}
"""Command -> its file and one line of help. The file has `arguments(parser)` and `run(options) -> exit code`.

The file of a command with several actions has `ACTIONS` instead of `arguments`: action -> its `arguments(parser)` and
one line of help. `options.action` is the chosen one. Without arguments, such a command prints its help.
"""

EXIT_CODES = {
    0: "done",
    1: "failure, explained on standard error; ingest: files were skipped; delivery: some letters could not be retried "
    "or dropped; status: messages are refused",
    2: "wrong usage",
    3: "no daemon can be reached",
    5: "a model could not answer, be loaded, be measured or be downloaded",
    78: "the configuration or the file of --model is wrong, or the state was written by a newer agentd",
    124: "it took too long",
    130: "interrupted",
    141: "the reader closed the pipe",
}
WITH_VALUE = ("--config", "--state-dir", "--set")
"""Options of every command; each takes a value."""
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, like a program that this signal ends."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of `EXIT_CODES`."""
    open_streams()
    try:
        code = _dispatch(sys.argv[1:] if argv is None else argv)
        put(sys.stdout, "", flush=True)
    except AgentdError as error:
        code = _complain(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        discard(sys.stdout)
        code = BROKEN_PIPE
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if not (words := limit_met(error)):
            raise
        code = _complain(AgentdError(words))
    return code


def _complain(error: AgentdError) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)
    warn(f"agentd: {error}")
    return error.exit_code


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Raises an exception of its own instead of exiting, so that `main` always returns."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self._print_message(message, sys.stderr)
        raise _Exit(status)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        put(sys.stdout if file == sys.stdout else sys.stderr, as_typed(message))


def _dispatch(argv: Sequence[str]) -> int:
    try:
        parser = _top_parser()
        rest, options = _before(parser, argv, argparse.Namespace())
        name = _known(rest[0], COMMANDS, "command", "agentd")
        module = importlib.import_module(COMMANDS[name][0])
        prog, about, arguments, rest = f"agentd {name}", module.__doc__, getattr(module, "arguments", None), rest[1:]
        if arguments is None:
            parser = _listing_parser(prog, about or "", "ACTION", module.ACTIONS)
            rest, options = _before(parser, rest, options)
            options.action = _known(rest[0], module.ACTIONS, "action", prog)
            arguments, help = module.ACTIONS[options.action]
            prog, about, rest = f"{prog} {options.action}", f"{help[0].upper()}{help[1:]}.", rest[1:]
        parser = _Parser(prog=prog, description=about, allow_abbrev=False)
        arguments(parser)
        _common_options(parser)
        code: int = module.run(parser.parse_args(rest, options))
    except _Exit as ended:
        return ended.code
    return code


def _before(
    parser: argparse.ArgumentParser, argv: Sequence[str], options: argparse.Namespace
) -> tuple[Sequence[str], argparse.Namespace]:
    """The options before the first word that is not an option, and the rest; prints the help if there is no word."""
    n = 0
    while n < len(argv) and argv[n].startswith("-"):
        n += 2 if argv[n] in WITH_VALUE else 1
    options = parser.parse_args(argv[:n], options)
    if n >= len(argv):
        parser.print_help(sys.stderr)
        raise _Exit(UsageError.exit_code)
    return argv[n:], options


def _known(word: str, words: Collection[str], kind: str, prog: str) -> str:
    if word in words:
        return word
    import difflib

    close = difflib.get_close_matches(word, words, n=1)
    meant = f"did you mean {close[0]}?" if close else f"`{prog} --help` lists them."
    raise UsageError(f"there is no {kind} {word!r}; {meant}")


def _top_parser() -> argparse.ArgumentParser:
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    about = "A local AI agent behind many channels that never loses a message."
    parser = _listing_parser("agentd", about, "COMMAND", COMMANDS, f"\n\nexit codes:\n{codes}")
    parser.add_argument("--version", action="version", version=f"agentd {__version__}")
    return parser


def _listing_parser(
    prog: str, about: str, kind: str, words: Mapping[str, tuple[object, str]], below: str = ""
) -> argparse.ArgumentParser:
    """A parser for the options before a command or an action; its help lists the commands or actions."""
    width = max(map(len, words))
    listed = "\n".join(f"  {word:<{width}}  {help}" for word, (_, help) in words.items())
    parser = _Parser(
        prog=prog,
        usage=f"{prog} [options] {kind} ...",
        description=about,
        epilog=f"{kind.lower()}s (each has its own --help):\n{listed}{below}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _common_options(parser)
    return parser


def _common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command; they may be before or after its name, and the later value wins."""
    group = parser.add_argument_group("options of every command")
    group.add_argument("--config", type=path_option, metavar="FILE", help="read this configuration file")
    group.add_argument("--state-dir", type=path_option, metavar="DIR", help="keep everything in this directory")
    group.add_argument(
        "--set",
        type=_assignment,
        action="append",
        metavar="KEY=VALUE",
        default=[],
        help="set one key of the configuration, as in --set model.context=4096; may be repeated; `agentd config show`"
        " lists the keys",
    )


def path_option(text: str) -> Path:
    """The path that an option gives; an empty one is refused, because it would mean the working directory."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty; give a path, or omit the option")
    return Path(text)


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError("must have the form KEY=VALUE, as in --set model.context=4096")
    return key.strip(), value
