"""Who comes in without a socket of this machine: the owner's tokens, and the tickets and cookies of the page."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from agentd.clock import SystemClock
from agentd.errors import AgentdError, UsageError
from agentd.events import TokenEnded
from agentd.host.lock import StateLock
from agentd.ports.clock import Clock
from agentd.ports.tokens import PageTicket, Token, TokenList, TokenOrder
from agentd.records import OWNER, Principal
from agentd.rights import PAGE_SCOPES, person, proper_name, require
from agentd.serving.tickets import TICKET_SECONDS, Tickets
from agentd.storage.store import Store, load_migrations
from agentd.storage.tokens import PAGE_LIFE, Tokens, Wanted, has_expired

log = logging.getLogger(__name__)


class TokenDesk:
    """What is given out, shown and taken back. `tell` announces what ended, so that its connections end, too.

    `in_use` are the ids of the tokens whose connections are open. `address` is where the page is, "" if it is nowhere.
    """

    def __init__(
        self, tokens: Tokens, tell: Callable[[TokenEnded], None], clock: Clock, in_use: Callable[[], Collection[str]]
    ) -> None:
        self.address = ""
        self._tokens = tokens
        self._tell = tell
        self._clock = clock
        self._in_use = in_use
        self._tickets = Tickets(clock)

    # --- tokens ---

    async def bearer(self, secret: str) -> Token | None:
        """The token that has this secret, if it still lets somebody in."""
        token = await self._tokens.find(secret)
        if token is not None:
            try:
                await self._tokens.note_use([token])
            except AgentdError as error:  # a full disk, for one: they may come in all the same
                log.warning("when a token was used could not be noted: %s", error)
        return token

    async def tokens(self, principal: Principal, order: TokenOrder) -> TokenList:
        """All tokens, or the one that was made or revoked."""
        require(principal, "tokens")
        match order.what:
            case "list":
                return TokenList(tokens=tuple(await self._tokens.list()))
            case "create":
                return await self._create(order)
            case "revoke":
                token = await self._tokens.revoke(order.name)
                self._end(token, "was revoked")
                return TokenList(tokens=(token,))

    async def _create(self, order: TokenOrder) -> TokenList:
        if not order.scopes:
            raise UsageError("a token needs a scope: chat, documents, events or admin.")
        wanted = Wanted(
            way="token",
            name=proper_name("token", order.name),
            principal=OWNER if order.principal is None else person(order.principal),
            scopes=order.scopes,
            life=None if order.days is None else timedelta(days=order.days),
        )
        token, secret = await self._tokens.make(wanted)
        return TokenList(tokens=(token,), secret=secret)

    # --- the page ---

    def ticket(self, principal: Principal) -> PageTicket:
        """What lets a browser of this principal in."""
        if not self.address:
            raise UsageError("this daemon serves no page; one that is started with `agentd run` does.")
        return PageTicket(address=self.address, ticket=self._tickets.issue(principal), seconds=TICKET_SECONDS)

    async def swap(self, ticket: str) -> tuple[Token, str] | None:
        """What a page comes with from now on, and its secret; None for a ticket that is not good."""
        principal = self._tickets.redeem(ticket)
        if principal is None:
            return None
        name = f"page-{secrets.token_hex(4)}"
        wanted = Wanted(way="page", name=name, principal=principal, scopes=PAGE_SCOPES, life=PAGE_LIFE)
        return await self._tokens.make(wanted)

    async def log_out(self, secret: str) -> None:
        """The page is let in no more; harmless if it was not."""
        token = await self._tokens.find(secret)
        if token is not None and token.way == "page":
            self._end(await self._tokens.revoke(token.name), "was logged out")

    # --- ends ---

    async def sweep(self) -> int:
        """See `ports.tokens.Sweeping`."""
        used, now = set(self._in_use()), self._clock.now()
        there = await self._tokens.list()
        valid = {token.id: token for token in there if token.revoked is None and not has_expired(token, now)}
        await self._tokens.note_use([valid[token_id] for token_id in used & valid.keys()])
        ended = [token for token in there if token.id in used and token.id not in valid]
        for token in ended:
            self._end(token, "has expired" if token.revoked is None else "was revoked")
        if any(token.id not in valid for token in there):
            await self._tokens.purge()
        return len(ended)

    def _end(self, token: Token, how: str) -> None:
        self._tell(TokenEnded(token=token.id, reason=f"the {token.way} {token.name} {how}"))


class OwnersTokens:
    """The tokens for somebody who may open the state directory, and so is its owner."""

    def __init__(self, desk: TokenDesk) -> None:
        self._desk = desk

    async def tokens(self, order: TokenOrder) -> TokenList:
        return await self._desk.tokens(OWNER, order)


@asynccontextmanager
async def tokens_at_rest(state_dir: Path) -> AsyncIterator[OwnersTokens]:
    """The tokens of a state directory that no daemon uses.

    Raises `StateInUse` if a daemon runs, `StateError` and `NewerVersion` as a start of the daemon does.
    """
    clock = SystemClock()
    with StateLock(state_dir):
        async with Store(state_dir / "agentd.db", load_migrations("agentd.storage")) as store:
            yield OwnersTokens(TokenDesk(Tokens(store, clock), _nobody, clock, tuple))


def _nobody(ended: TokenEnded) -> None:
    """No connection is open while no daemon runs."""
