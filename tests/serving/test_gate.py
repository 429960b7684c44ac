"""Who somebody is at the way in of a channel, and for whom that channel may speak from then on."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.errors import Forbidden, UsageError
from agentd.events import TokenEnded
from agentd.host.peers import Peer
from agentd.ports.tokens import TokenOrder
from agentd.records import OWNER, Principal
from agentd.rights import PAGE_SCOPES
from agentd.serving.gate import LOCAL, WEB, Gate
from agentd.serving.tickets import MOST, TICKET_SECONDS
from agentd.serving.tokens import TokenDesk
from agentd.storage.store import Store, load_migrations
from agentd.storage.tokens import PAGE_LIFE, Tokens
from agentd.testing.clock import FakeClock

ANN = Principal(kind="person", id="ann")
ALL = TokenOrder(what="list")


class Entry:
    """The desk that gives tokens out, with the ends that it told, and gates before it."""

    def __init__(self, store: Store) -> None:
        self.clock = FakeClock()
        self.ended: list[TokenEnded] = []
        self.used: set[str] = set()
        self.desk = TokenDesk(Tokens(store, self.clock), self.ended.append, self.clock, lambda: self.used)
        self.desk.address = "http://127.0.0.1:8765"
        self.web = self.gate(WEB)

    def gate(self, channel: str) -> Gate:
        return Gate(channel, [os.getuid()], ["ann@home"], nobody, self.desk)

    async def token(self, name: str, whose: str = "", days: int | None = None) -> str:
        order = TokenOrder(what="create", name=name, principal=whose or None, scopes=("chat",), days=days)
        return (await self.desk.tokens(OWNER, order)).secret


def nobody(connection: socket.socket) -> Peer:
    raise AssertionError("nobody connects")


@pytest.fixture
async def entry(tmp_path: Path) -> AsyncIterator[Entry]:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        yield Entry(store)


def unknown(gate: Gate, principal: Principal) -> None:
    with pytest.raises(UsageError, match="may not speak"):
        gate.known(principal)


# --- people by name ---


def test_the_channel_of_the_web_speaks_for_people_as_long_as_they_are_there(entry: Entry) -> None:
    ann = entry.web.person("ann")
    assert ann == ANN and entry.web.known(ann) is ann
    again = entry.web.person("ann")
    del ann
    gc.collect()
    assert entry.web.known(again) is again
    del again
    gc.collect()
    unknown(entry.web, ANN)


def test_the_channel_of_the_web_speaks_for_nobody_else(entry: Entry) -> None:
    _ann = entry.web.person("ann")
    for other in (OWNER, Principal(kind="person", id="ben"), Principal(kind="user", id="0")):
        unknown(entry.web, other)


def test_no_other_channel_names_people(entry: Entry) -> None:
    for name in (LOCAL, "mallory"):
        with pytest.raises(UsageError, match="may not name"):
            entry.gate(name).person("ann")


@pytest.mark.parametrize("name", ["", " ann", "ann ", "-ann", "a\nb", "a\x1b[31mb", "a" * 65, "a\u202eb"])
def test_a_name_is_short_and_seen_as_it_is(entry: Entry, name: str) -> None:
    with pytest.raises(UsageError, match="visible"):
        entry.web.person(name)


def test_a_proxy_s_name_is_the_owner_s_if_the_settings_say_so(entry: Entry) -> None:
    owner = entry.web.person("ann@home")
    assert owner == OWNER and entry.web.known(owner) is owner
    for name in ("owner", "0", str(os.getuid()), "ann"):
        assert entry.web.person(name).kind == "person"


def test_the_same_letters_are_the_same_person(entry: Entry) -> None:
    assert entry.web.person("Zoe\u0308") == entry.web.person("Zo\u00eb")


# --- tokens ---


async def test_a_token_lets_its_principal_in_and_the_gate_knows_them_while_they_are_here(entry: Entry) -> None:
    unknown(entry.web, OWNER)
    secret, hers = await entry.token("laptop"), await entry.token("phone", "ann")
    owner, ann = await entry.web.bearer(secret), await entry.web.bearer(hers)
    assert owner is not None and ann is not None
    assert owner.principal == OWNER and owner.scopes == {"chat"} and owner.sender.id == "laptop"
    assert ann.principal == ANN == entry.web.known(ann.principal) and ann.token != owner.token
    assert entry.web.known(owner.principal) == OWNER
    unknown(entry.gate("mallory"), OWNER)
    del owner, ann
    gc.collect()
    unknown(entry.web, OWNER)


async def test_a_secret_that_is_none_or_none_any_more_lets_nobody_in(entry: Entry) -> None:
    secret, brief = await entry.token("laptop"), await entry.token("brief", days=1)
    [revoked] = (await entry.desk.tokens(OWNER, TokenOrder(what="revoke", name="laptop"))).tokens
    assert [event.token for event in entry.ended] == [revoked.id]
    entry.clock.advance(24 * 3600)
    for wrong in ("", "x", "agentd_" + "a" * 43, secret, brief):
        assert await entry.web.bearer(wrong) is None


async def test_nobody_but_the_owner_gives_tokens_out_and_nobody_from_elsewhere(entry: Entry) -> None:
    with pytest.raises(UsageError, match="only the owner"):
        await entry.desk.tokens(ANN, ALL)
    secret = await entry.token("laptop")
    owner = await entry.web.bearer(secret)
    assert owner is not None
    with pytest.raises(Forbidden, match="on the machine itself"):
        entry.web.here(owner.principal)
    assert entry.gate(LOCAL).here(OWNER) == OWNER


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "a\nb"}, {"principal": "-x"}, {"scopes": ()}], ids=str)
async def test_a_token_has_a_name_and_a_scope(entry: Entry, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        await entry.desk.tokens(OWNER, TokenOrder(**{"what": "create", "name": "a", "scopes": ("chat",), **wrong}))  # type: ignore[arg-type]


# --- the page ---


async def test_a_ticket_lets_one_page_in_once(entry: Entry) -> None:
    ticket = entry.desk.ticket(ANN).ticket
    swapped = await entry.web.swap(ticket)
    assert swapped is not None
    caller, cookie = swapped
    assert (caller.principal, caller.scopes) == (ANN, PAGE_SCOPES) and "admin" not in PAGE_SCOPES
    again = await entry.web.bearer(cookie)
    assert again is not None and again.token == caller.token
    assert await entry.web.swap(ticket) is None
    await entry.web.log_out(cookie)
    assert await entry.web.bearer(cookie) is None
    assert [event.token for event in entry.ended] == [caller.token]


async def test_a_token_is_not_logged_out(entry: Entry) -> None:
    secret = await entry.token("laptop")
    await entry.web.log_out(secret)
    assert await entry.web.bearer(secret) is not None


async def test_a_ticket_that_is_wrong_old_or_one_of_too_many_lets_nobody_in(entry: Entry) -> None:
    first = entry.desk.ticket(OWNER).ticket
    for _ in range(MOST):
        last = entry.desk.ticket(OWNER).ticket
    entry.clock.advance(TICKET_SECONDS)
    for ticket in ("", "x", "\ud800", first, last):
        assert await entry.web.swap(ticket) is None
    assert len(last) >= 128 / 6


def test_without_a_page_there_is_no_ticket(entry: Entry) -> None:
    entry.desk.address = ""
    with pytest.raises(UsageError, match="agentd run"):
        entry.desk.ticket(OWNER)


# --- sweeping ---


async def opened_page(entry: Entry) -> tuple[str, str]:
    swapped = await entry.web.swap(entry.desk.ticket(OWNER).ticket)
    assert swapped is not None
    return swapped[0].token, swapped[1]


async def test_a_page_that_stays_open_is_let_in_for_longer(entry: Entry) -> None:
    (here, cookie), (_, gone) = await opened_page(entry), await opened_page(entry)
    entry.used = {here}
    for _ in range(3):
        entry.clock.advance(PAGE_LIFE.total_seconds() / 2)
        assert await entry.desk.sweep() == 0
    assert await entry.web.bearer(cookie) is not None and await entry.web.bearer(gone) is None
    assert [token.id for token in (await entry.desk.tokens(OWNER, ALL)).tokens] == [here]


async def test_who_is_here_with_a_token_that_has_expired_has_to_leave(entry: Entry) -> None:
    caller = await entry.web.bearer(await entry.token("brief", days=1))
    assert caller is not None
    entry.used = {caller.token, "forgotten long ago"}
    assert await entry.desk.sweep() == 0
    entry.clock.advance(24 * 3600)
    assert await entry.desk.sweep() == 1
    assert [event.token for event in entry.ended] == [caller.token]
