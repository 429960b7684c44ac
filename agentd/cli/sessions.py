"""`agentd sessions`: list, show, search, rename, delete and export conversations."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentd.cli.attach import running_or
from agentd.cli.export import form_of, write_export
from agentd.cli.output import source_lines
from agentd.cli.say import put, say, say_json
from agentd.cli.yes_no import asked
from agentd.config import Settings
from agentd.errors import UsageError
from agentd.ids import is_id
from agentd.serving.choosing import choose, label, row, table
from agentd.serving.protocol import Exported, HistoryMessage, ListedSession, SessionFound
from agentd.text.characters import whole

if TYPE_CHECKING:
    from agentd.serving.client import Client
    from agentd.serving.resting import OwnersSessions

MOST_LISTED, MOST_FOUND, MOST_SHOWN = 1000, 200, 1000
LISTS = "`agentd sessions list`"
NAME_WIDTH = 60


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_DOES[options.action](options))


# --- arguments -------------------------------------------------------------------------------------------------------


def _count(most: int) -> Any:
    def count(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be from 1 to {most}")
        return int(text)

    return count


def _limit(parser: argparse.ArgumentParser, default: int, most: int, what: str) -> None:
    parser.add_argument(
        "--limit", type=_count(most), default=default, metavar="N", help=f"at most N {what} (default {default})"
    )


def _session(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    told = "name, id or number of a conversation, as the list shows them"
    parser.add_argument("session", metavar="SESSION", nargs=nargs, type=whole, help=told)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    _limit(parser, 50, MOST_LISTED, "conversations")
    _json(parser)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    _limit(parser, 50, MOST_SHOWN, "messages, the newest")
    _json(parser)


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="WORD", type=whole, help="what one message, name or title has")
    _limit(parser, 20, MOST_FOUND, "conversations")
    _json(parser)


def _rename_arguments(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    parser.add_argument("name", metavar="NAME", type=whole, help='its new name; "" takes its name away')
    _json(parser)


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    _session(parser, "+")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _json(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _session(parser)
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="a new file, or a folder; default: standard output"
    )
    parser.add_argument("--json", action="store_true", help="write JSON, as for a FILE whose name ends in .json")


ACTIONS = {
    "list": (_list_arguments, "list your conversations, the newest first"),
    "show": (_show_arguments, "show what was said in a conversation"),
    "search": (_search_arguments, "find conversations by words that were said in them"),
    "rename": (_rename_arguments, "give a conversation a name"),
    "delete": (_delete_arguments, "delete conversations for good"),
    "export": (_export_arguments, "write a conversation as Markdown or JSON"),
}

# --- what is done ----------------------------------------------------------------------------------------------------


def _desk(options: argparse.Namespace) -> AbstractAsyncContextManager[Client | OwnersSessions]:
    """A client of the running daemon; if none runs, the conversations of the state directory itself."""
    from agentd.serving.resting import sessions_at_rest

    def at_rest(settings: Settings, state_dir: Path) -> AbstractAsyncContextManager[OwnersSessions]:
        return sessions_at_rest(state_dir, allow_network_fs=settings.pending.allow_network_fs)

    return running_or(options, at_rest, name="agentd sessions")


async def _find(desk: Client | OwnersSessions, wanted: str) -> ListedSession:
    if is_id(wanted):
        return await desk.session(wanted)
    return choose((await desk.sessions(limit=MOST_LISTED)).sessions, wanted, LISTS)


async def _list(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        sessions = (await desk.sessions(limit=options.limit)).sessions
    _print(options, {"sessions": [session.model_dump(mode="json") for session in sessions]}, listed(sessions))
    return 0


async def _search(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        hits = (await desk.search(" ".join(options.words), limit=options.limit)).sessions
    _print(options, {"sessions": [hit.model_dump(mode="json") for hit in hits]}, found(hits))
    return 0


async def _show(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        session = await _find(desk, options.session)
        messages = (await desk.history(session.id, limit=options.limit)).messages
    data = {"session": session.model_dump(mode="json"), "messages": [m.model_dump(mode="json") for m in messages]}
    _print(options, data, shown(session, messages))
    return 0


async def _rename(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        session = await desk.rename((await _find(desk, options.session)).id, options.name)
    told = f"it is called {session.name} now" if session.name else "it has no name now"
    _print(options, session.model_dump(mode="json"), [told])
    return 0


async def _delete(options: argparse.Namespace) -> int:
    """The state directory is not held while a person is asked."""
    if not options.yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody is here to ask whether to delete; --yes deletes without a question.")
    async with _desk(options) as desk:
        doomed = {(session := await _find(desk, wanted)).id: session for wanted in options.session}
    if not options.yes:
        doomed = {one: session for one, session in doomed.items() if await _agreed(session)}
    deleted = []
    for session_id in doomed:
        async with _desk(options) as desk:
            deleted.append(await desk.delete(session_id))
    lines = [f"deleted: {label(session, NAME_WIDTH)}" for session in deleted]
    _print(options, {"deleted": [one.model_dump(mode="json") for one in deleted]}, lines or ["nothing was deleted"])
    return 0


async def _agreed(session: ListedSession) -> bool:
    words = f'Delete "{label(session, NAME_WIDTH)}" with {session.messages} messages for good? [y/N] '
    return await asked(words, default=False, stream=sys.stderr) is True


async def _export(options: argparse.Namespace) -> int:
    async with _desk(options) as desk:
        session = await _find(desk, options.session)
        form = "json" if options.json else form_of(options.file)
        pieces = desk.export(session.id, form)
        if options.file == "-":
            await _write_out(pieces)
        else:
            path = await write_export(pieces, options.file, another="name another FILE")
            say(f"written to {path}")
    return 0


async def _write_out(pieces: AsyncIterator[Exported]) -> None:
    async for piece in pieces:
        put(sys.stdout, piece.text)


_DOES = {"list": _list, "show": _show, "search": _search, "rename": _rename, "delete": _delete, "export": _export}

# --- what a person reads ---------------------------------------------------------------------------------------------


def _print(options: argparse.Namespace, data: Mapping[str, Any], lines: Sequence[str]) -> None:
    if options.json:
        say_json(data)
    else:
        put(sys.stdout, "\n".join(lines) + "\n")


def listed(sessions: Sequence[ListedSession]) -> list[str]:
    """A table: number, name and title, how much was said, when, whose it is if it is somebody else's, and the id."""
    now = datetime.now(UTC)
    rows = [(*row(n, session, now), session.whose, session.id) for n, session in enumerate(sessions, start=1)]
    return table(rows) if rows else ["there is no conversation yet; `agentd chat` begins one"]


def found(hits: Sequence[SessionFound]) -> list[str]:
    """Each conversation with the place that has the words."""
    lines = [
        f"{hit.id}  {label(hit, NAME_WIDTH)}\n    {hit.excerpt}{' (on another branch)' if hit.aside else ''}"
        for hit in hits
    ]
    return lines or ["no conversation has these words"]


def shown(session: ListedSession, messages: Sequence[HistoryMessage]) -> list[str]:
    """The newest messages; questions begin with `>`."""
    count = (
        f"the newest {len(messages)} of {session.messages}" if len(messages) < session.messages else f"{len(messages)}"
    )
    lines = [label(session, NAME_WIDTH), f"{session.id}, begun {session.created:%Y-%m-%d %H:%M} UTC, {count} messages"]
    for message in messages:
        text = message.text.strip()
        lines += ["", *(f"> {line}" for line in text.splitlines())] if message.role == "user" else ["", text]
        lines += ["(stopped)"] if message.interrupted else []
        lines += ["(unread)"] if message.unread else []
        lines += source_lines(message.citations)
    return lines
