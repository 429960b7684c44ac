"""`agentd token`: give out a token with which a program uses this agentd, list all of them, revoke one."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from agentd.cli.attach import running_or
from agentd.cli.say import put, say_json, warn
from agentd.config import Settings
from agentd.records import Principal, Scope
from agentd.serving.protocol import MAX_DAYS, Token, TokenList, TokenOrder

if TYPE_CHECKING:
    from agentd.serving.client import Client
    from agentd.serving.tokens import OwnersTokens

USUAL: tuple[Scope, ...] = ("chat",)
"""What a token is good for unless that is said."""


def run(options: argparse.Namespace) -> int:
    found = asyncio.run(_run(options))
    match options.action:
        case "create":
            _give_out(options, found)
        case "list" if options.json:
            say_json({"tokens": [token.as_json() for token in found.tokens]})
        case "list":
            put(sys.stdout, "\n".join(listed(found.tokens, datetime.now(UTC))) + "\n")
        case "revoke":
            warn(f"agentd: the token {found.tokens[0].name} lets nobody in any more, and its connections were ended.")
    return 0


def days(text: str) -> int:
    """A number of days."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number of days from 1 to {MAX_DAYS}")
    return int(text)


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the token is called, as in laptop")
    parser.add_argument(
        "--principal", metavar="NAME", help="for a person of this name, who sees only their own; else yours"
    )
    parser.add_argument(
        "--scope",
        dest="scopes",
        action="append",
        choices=get_args(Scope),
        help="what it is good for; may be repeated (default: chat)",
    )
    parser.add_argument("--expires", type=days, metavar="DAYS", help="it ends after so many days (default: never)")
    _json_argument(parser)


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a name of the list")


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs")


ACTIONS = {
    "create": (_create_arguments, "make a token; its secret goes to standard output, this once"),
    "list": (_json_argument, "list the tokens, and the browsers that were let in"),
    "revoke": (_revoke_arguments, "let nobody in by a token any more, and end its connections"),
}


def _order(options: argparse.Namespace) -> TokenOrder:
    if options.action != "create":
        return TokenOrder(what=options.action, name=getattr(options, "name", ""))
    return TokenOrder(
        what="create",
        name=options.name,
        principal=options.principal,
        scopes=tuple(options.scopes or USUAL),
        days=options.expires,
    )


async def _run(options: argparse.Namespace) -> TokenList:
    async with _desk(options) as desk:
        return await desk.tokens(_order(options))


def _desk(options: argparse.Namespace) -> AbstractAsyncContextManager[Client | OwnersTokens]:
    """A client of the running daemon; if none runs, the tokens of the state directory, which nothing else changes."""
    from agentd.serving.tokens import tokens_at_rest

    def at_rest(settings: Settings, state_dir: Path) -> AbstractAsyncContextManager[OwnersTokens]:
        return tokens_at_rest(state_dir)

    return running_or(options, at_rest, name="agentd token")


# --- what a person reads ---------------------------------------------------------------------------------------------


def _give_out(options: argparse.Namespace, made: TokenList) -> None:
    [token] = made.tokens
    if options.json:
        say_json({**token.as_json(), "secret": made.secret})
    else:
        put(sys.stdout, f"{made.secret}\n")
    ends = "it does not expire" if token.expires is None else f"it ends on {_day(token.expires)}"
    warn(
        f"agentd: the token {token.name} is for {_who(token.principal)} ({', '.join(token.scopes)}); {ends}. "
        "Its secret is not shown again."
    )


def listed(tokens: Sequence[Token], now: datetime) -> list[str]:
    """A table, the oldest first."""
    if not tokens:
        return ["there are no tokens; `agentd token create NAME` makes one"]
    head = ("name", "for", "scopes", "made", "used", "ends")
    rows = [head, *(_row(token, now) for token in tokens)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(token: Token, now: datetime) -> tuple[str, ...]:
    used = "never" if token.used is None else _day(token.used)
    scopes = ",".join(token.scopes)
    return (token.name, _who(token.principal), scopes, _day(token.created), used, _end(token, now))


def _end(token: Token, now: datetime) -> str:
    if token.revoked is not None:
        return f"revoked {_day(token.revoked)}"
    if token.expires is None:
        return "never"
    return f"expired {_day(token.expires)}" if token.expires <= now else _day(token.expires)


def _who(principal: Principal) -> str:
    return "the owner" if principal.kind == "owner" else f"{principal.kind} {principal.id}"


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%MZ}"
