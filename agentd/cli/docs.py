"""`agentd docs`: let others search documents that the owner read, no longer, and list what is shared."""

from __future__ import annotations

import argparse
import asyncio
import pwd
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agentd.cli import path_option
from agentd.cli.attach import running_or
from agentd.cli.say import put, say, say_json
from agentd.config import Settings
from agentd.host.paths import absolute
from agentd.serving.choosing import table
from agentd.serving.protocol import SharedPath
from agentd.text.characters import whole

if TYPE_CHECKING:
    from agentd.serving.client import Client
    from agentd.serving.resting import OwnersShares


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_run(options))


def _share_arguments(parser: argparse.ArgumentParser) -> None:
    _path(parser)
    told = "`everyone`, a user of this machine by name or uid, or the name of a person (person:NAME)"
    parser.add_argument("--with", dest="whom", required=True, metavar="NAME", type=whole, help=told)
    _json(parser)


def _unshare_arguments(parser: argparse.ArgumentParser) -> None:
    _path(parser)
    told = "only with this one no longer; default: with nobody"
    parser.add_argument("--with", dest="whom", default="", metavar="NAME", type=whole, help=told)
    _json(parser)


def _path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=path_option, help="a file or folder that `agentd ingest` read")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


ACTIONS = {
    "share": (_share_arguments, "let somebody search a folder that you read"),
    "unshare": (_unshare_arguments, "let them search it no longer"),
    "shares": (_json, "list what is shared, and with whom"),
}


async def _run(options: argparse.Namespace) -> int:
    path = "" if options.action == "shares" else str(absolute(options.path))
    async with _desk(options) as desk:
        match options.action:
            case "share":
                shares = (await desk.share("add", path, options.whom)).shares
            case "unshare":
                shares = (await desk.share("remove", path, options.whom)).shares
            case _:
                shares = (await desk.share("list")).shares
    if options.json:
        say_json({"shares": [share.as_json() for share in shares]})
    elif options.action == "shares":
        put(sys.stdout, "\n".join(listed(shares)) + "\n")
    else:
        for share in shares:
            say(_told(options.action, share))
    return 0


def _desk(options: argparse.Namespace) -> AbstractAsyncContextManager[Client | OwnersShares]:
    """A client of the running daemon; if none runs, the shares in the state directory itself."""
    from agentd.serving.resting import shares_at_rest

    def at_rest(settings: Settings, state_dir: Path) -> AbstractAsyncContextManager[OwnersShares]:
        return shares_at_rest(state_dir)

    return running_or(options, at_rest, name="agentd docs")


def _told(action: str, share: SharedPath) -> str:
    count = "1 document" if share.documents == 1 else f"{share.documents:,} documents"
    if action == "share":
        return f"{share.path} is shared with {named(share.whom)}: {count}, and whatever is read from there later"
    return f"{share.path} is shared with {named(share.whom)} no longer"


def listed(shares: Sequence[SharedPath]) -> list[str]:
    """A table of paths, with whom they are shared, and how many documents are in them now."""
    rows = [(share.path, named(share.whom), f"{share.documents:,}", f"{share.since:%Y-%m-%d}") for share in shares]
    if not rows:
        return ["nothing is shared; `agentd docs share PATH --with NAME` shares a folder"]
    return table([("path", "with", "documents", "since"), *rows])


def named(whom: str) -> str:
    """With the name of a user of this machine."""
    kind, _, uid = whom.partition(":")
    if kind == "user":
        with suppress(KeyError, ValueError, OverflowError):
            return f"{whom} ({pwd.getpwuid(int(uid)).pw_name})"
    return whom
