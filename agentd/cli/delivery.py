"""`agentd delivery`: list what is pending and what is dead, show one event, retry or drop dead letters."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentd.cli.advice import as_typed
from agentd.cli.attach import running_or
from agentd.cli.say import put, say_json
from agentd.config import Settings
from agentd.delivery.decisions import duration
from agentd.errors import UsageError
from agentd.records import Address
from agentd.serving.protocol import Decided, Letter, LetterList, LetterShown

if TYPE_CHECKING:
    from agentd.serving.client import Client
    from agentd.serving.letters import OwnersLetters

IDS_AT_ONCE = 500
MOST_LISTED = 5000
_KINDS = {"inbound": "question", "outbound": "answer"}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def run(options: argparse.Namespace) -> int:
    _check(options)
    return asyncio.run(_run(options))


def age(text: str) -> float:
    """An age such as 90s, 30m, 12h, 7d or 2w, in seconds."""
    form = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if form is None:
        raise argparse.ArgumentTypeError("must be a number with a unit, as in 30m, 12h, 7d or 2w")
    return float(form[1]) * _UNITS[form[2]]


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LISTED:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_LISTED}")
    return int(text)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_count, default=200, metavar="N", help="at most N of each (default 200)")
    _json_argument(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs=1, metavar="ID", help="id of an event, from the list")
    _json_argument(parser)


def _decide_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="ids of dead letters, from the list")
    parser.add_argument("--all", action="store_true", help="all dead letters")
    parser.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help="with --all: only those given up longer ago (as in 12h or 7d)",
    )
    _json_argument(parser)


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


ACTIONS = {
    "list": (_list_arguments, "list what is pending and what is dead"),
    "show": (_show_arguments, "show one event with its log and its reason"),
    "retry": (_decide_arguments, "make dead letters pending again, to deliver or answer them"),
    "drop": (_decide_arguments, "delete dead letters for good"),
}


def _check(options: argparse.Namespace) -> None:
    if options.action not in ("retry", "drop"):
        return
    if bool(options.ids) == options.all:
        raise UsageError(f"`agentd delivery {options.action}` takes ids of dead letters, or --all.")
    if options.older_than is not None and not options.all:
        raise UsageError("--older-than needs --all.")


async def _run(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        match options.action:
            case "list":
                letters = await desk.letters(limit=options.limit)
                _print(options, letters.as_json(), partial(listed, letters))
            case "show":
                letter = await desk.letter(*options.ids)
                _print(options, letter.as_json(), partial(shown, letter))
            case "retry":
                return _tell(options, await _decide(desk.retry, options), "pending again")
            case "drop":
                return _tell(options, await _decide(desk.drop, options), "dropped")
    return 0


def _tell(options: argparse.Namespace, found: Decided, done: str) -> int:
    """Print what was done; returns the exit code."""
    _print(options, {"done": list(found.done), "failed": dict(found.failed)}, partial(decided, found, done))
    return 1 if found.failed else 0


async def _decide(decide: Callable[..., Awaitable[Decided]], options: argparse.Namespace) -> Decided:
    """Retry or drop in short steps; a letter that failed once is not tried again."""
    done: list[str] = []
    failed: dict[str, str] = {}
    if options.all:
        while True:
            step = await decide(older_than=options.older_than or 0.0)
            done += step.done
            failed |= step.failed
            if not step.more or not step.done:
                break
    for start in range(0, len(options.ids), IDS_AT_ONCE):
        step = await decide(options.ids[start : start + IDS_AT_ONCE])
        done += step.done
        failed |= step.failed
    return Decided(done=tuple(done), failed=failed)


@asynccontextmanager
async def _desk(options: argparse.Namespace) -> AsyncIterator[Client | OwnersLetters]:
    """A client of the running daemon; if none runs, the letters of the state directory, which nothing else changes."""
    from agentd.serving.letters import letters_at_rest

    def at_rest(settings: Settings, state_dir: Path) -> AbstractAsyncContextManager[OwnersLetters]:
        return letters_at_rest(state_dir, allow_network_fs=settings.pending.allow_network_fs)

    async with running_or(options, at_rest, name="agentd delivery") as found:
        yield found


# --- what a person reads ---------------------------------------------------------------------------------------------


def _print(options: argparse.Namespace, found: Mapping[str, Any], lines: Callable[[], list[str]]) -> None:
    if options.json:
        say_json(found)
    else:
        put(sys.stdout, "\n".join(lines()) + "\n")


def listed(found: LetterList) -> list[str]:
    """A table of what is pending and a table of what is dead, the oldest first."""
    lines: list[str] = []
    kinds = (("pending", found.pending, found.counts.pending), ("dead", found.dead, found.counts.dead))
    for state, letters, count in kinds:
        if not letters:
            continue
        shown = "" if count == len(letters) else f", the oldest {len(letters)} are shown"
        rows = [_HEAD[state], *map(_row, letters)]
        lines += [*([""] if lines else []), f"{count} {state}{shown}", *_table(rows)]
    return lines or ["nothing is pending and nothing is dead"]


_HEAD = {
    "pending": ("id", "what", "where", "age", "tries", "next try", "last error"),
    "dead": ("id", "what", "where", "dead for", "tries", "", "reason"),
}


def _row(letter: Letter) -> tuple[str, ...]:
    seconds = letter.age if letter.state == "pending" else letter.dead_age
    return (
        letter.id,
        _KINDS[letter.kind],
        _where(letter.address),
        "?" if seconds is None else duration(seconds),
        str(letter.attempts),
        _clock_time(letter.next_try),
        as_typed(_one_line(letter.error)),
    )


def shown(found: LetterShown) -> list[str]:
    """One event with everything that its log says."""
    letter = found.letter
    rows = [
        ("id", letter.id),
        ("what", f"{_KINDS[letter.kind]}, {letter.state}"),
        ("turn", letter.turn),
        ("session", letter.session),
        ("where", _where(letter.address)),
        ("age", duration(letter.age)),
        ("tries", str(letter.attempts)),
    ]
    if letter.next_try:
        rows.append(("next try", _clock_time(letter.next_try)))
    if letter.error:
        rows.append(("reason" if letter.state == "dead" else "last error", as_typed(letter.error)))
    log = [f"  {_noted(line)}" for line in found.log]
    text = [f"  {line}" for line in found.text.splitlines()]
    return [*_table(rows), "", "text", *text, *(["", "log", *log] if log else [])]


def decided(found: Decided, done: str) -> list[str]:
    """What was done, what could not be done, and why."""
    failed = [f"{dead_id}: {as_typed(why)}" for dead_id, why in found.failed.items()]
    return [f"{len(found.done)} {done}", *failed]


def _noted(line: Mapping[str, Any]) -> str:
    """A line of the log: what happened, then the details."""
    details = (f"{key}={value if isinstance(value, str | int) else json.dumps(value)}" for key, value in line.items())
    return " ".join([str(line["line"]), *(text for text in details if not text.startswith("line="))])


def _where(address: Address) -> str:
    """The channel and the chat on it; the account only if there is nothing else."""
    return " ".join(part for part in (address.channel, address.chat, address.thread) if part)


def _clock_time(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
