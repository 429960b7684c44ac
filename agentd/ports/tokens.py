"""Ways in that were given out: tokens for programs, and what the page of the web shows instead of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import FailFast

from agentd.ports.house import ToldData
from agentd.ports.status import Moment
from agentd.records import Principal, Scope

Way = Literal["token", "page"]
"""A token is given to a program, a page is a browser that was let in by a ticket."""


class Token(ToldData):
    """One way in, without its secret. `used` is the last time, to the hour; None in a time means never."""

    id: str
    way: Way
    name: str
    principal: Principal
    scopes: Annotated[tuple[Scope, ...], FailFast()]
    created: Moment
    used: Moment | None = None
    expires: Moment | None = None
    revoked: Moment | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenOrder:
    """What the owner wants: see all, or have one made or revoked.

    A new one is the owner's if `principal` is None, else that of the person of this name; without `days` it does not
    expire.
    """

    what: Literal["list", "create", "revoke"]
    name: str = ""
    principal: str | None = None
    scopes: tuple[Scope, ...] = ()
    days: int | None = None


class TokenList(ToldData):
    """Tokens, the oldest first. `secret` is that of one which was just made; nobody is told it again."""

    tokens: Annotated[tuple[Token, ...], FailFast()]
    secret: str = ""


class PageTicket(ToldData):
    """What lets one browser in: `address#ticket=TICKET`, once and within so many `seconds`."""

    address: str
    ticket: str
    seconds: float


class Sweeping(Protocol):
    async def sweep(self) -> int:
        """End what has expired, keep what is in use, forget what ended long ago; how many connections' ways ended."""
        ...
