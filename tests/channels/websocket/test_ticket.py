"""The page's way in: a ticket over the socket of the machine, a cookie for it, and logging out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agentd.errors import Forbidden
from agentd.serving import protocol
from agentd.serving.protocol import TokenOrder
from tests.channels.websocket.web import Web, web
from tests.house import DEADLINE

CLIENTS = ("httpcore2.http11", "websockets.client")
"""Whose logs are those of the clients here."""


async def asked(socket: ClientConnection, message: protocol.ClientMessage) -> protocol.ServerMessage:
    """The reply to a request."""
    await socket.send(protocol.encode(message).decode())
    return await until(socket, lambda heard: getattr(heard, "re", None) == getattr(message, "id", ""))


async def until(socket: ClientConnection, wanted: Callable[[protocol.ServerMessage], bool]) -> protocol.ServerMessage:
    """The next message of this kind; those before it are dropped."""
    async with asyncio.timeout(DEADLINE):
        while not wanted(heard := protocol.decode_server(str(await socket.recv()).encode())):
            pass
    return heard


def opened(gateway: Web, **headers: str) -> connect:
    return connect(f"ws://{gateway.host}/ws", additional_headers=headers, proxy=None)


async def places(socket: ClientConnection, session: str) -> int:
    """How many places of the documents are found for a question in this session."""
    await socket.send(protocol.encode(protocol.Post(id="m", session=session, text="What is the zebrakey?")).decode())
    found = await until(socket, lambda heard: isinstance(heard, protocol.Found))
    assert isinstance(found, protocol.Found)
    return len(found.citations)


async def code_at_the_end(socket: ClientConnection) -> str:
    """The code of the last error that was told before the connection ended."""
    code = ""
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(DEADLINE):
            while True:
                code = json.loads(await socket.recv()).get("code", code)
    return code


async def test_a_ticket_becomes_a_cookie_that_lets_the_page_in_until_it_logs_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with web(tmp_path) as gateway, gateway.house.client() as owner, gateway.http() as http:
        session = (await owner.open("diary")).session
        ticket = await owner.ticket()
        assert ticket.address == gateway.address
        swapped = await http.post("/api/ticket", json={"ticket": ticket.ticket})
        assert swapped.status_code == 204 and swapped.content == b""
        cookie = swapped.headers["set-cookie"]
        name, _, secret = cookie.partition(";")[0].partition("=")
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; ")) and "Secure" not in cookie
        assert name.endswith(gateway.host.rpartition(":")[2]), "daemons on other ports of the host have their own"
        for wrong in (ticket.ticket, "", "x" * 200):
            assert (await http.post("/api/ticket", json={"ticket": wrong})).status_code == 401
        assert (await http.post("/api/ticket", json={"ticket": "x" * 201})).status_code == 422

        async with opened(gateway, Cookie=f"{name}={secret}", Origin=gateway.address) as page:
            assert isinstance(await asked(page, protocol.Open(id="o", session=session)), protocol.SessionOpened)
            for forbidden in (protocol.Ticket(id="t"), protocol.Ingest(id="i", paths=("/etc",))):
                refused = await asked(page, forbidden)
                assert isinstance(refused, protocol.Failure) and refused.code == "forbidden"
            assert (await http.delete("/api/ticket")).status_code == 204
            assert await code_at_the_end(page) == "unauthorized"
        assert (await http.delete("/api/ticket")).status_code == 204
        async with opened(gateway, Cookie=f"{name}={secret}", Origin=gateway.address) as page:
            assert await code_at_the_end(page) == "unauthorized"
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name not in CLIENTS)
    assert secret not in logged and ticket.ticket not in logged


async def test_behind_a_proxy_that_encrypts_the_cookie_is_for_tls_alone(tmp_path: Path) -> None:
    for behind, name in ((True, "__Host-agentd-"), (False, "agentd-")):
        folder = tmp_path / str(behind)
        folder.mkdir()
        async with web(folder, settings={"behind_proxy": behind}) as gateway, gateway.house.client() as owner:
            async with gateway.http(**{"X-Forwarded-Proto": "https"}) as http:
                ticket = (await owner.ticket()).ticket
                cookie = (await http.post("/api/ticket", json={"ticket": ticket})).headers["set-cookie"]
        assert cookie.startswith(name) and ("Secure" in cookie) == behind and "Domain" not in cookie


async def test_a_token_of_the_owner_sees_what_is_the_owner_s_and_one_of_a_person_only_their_own(
    tmp_path: Path,
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")
    async with web(tmp_path) as gateway, gateway.house.client() as owner:
        async for _ in owner.ingest([note]):
            pass
        session = (await owner.open("diary")).session
        made = {}
        for name, whose in (("mine", ""), ("hers", "ann"), ("admin", "")):
            scopes = ("chat", "admin") if name == "admin" else ("chat",)
            order = TokenOrder(what="create", name=name, principal=whose or None, scopes=scopes)  # type: ignore[arg-type]
            made[name] = {"Authorization": f"Bearer {(await owner.tokens(order)).secret}"}
        async with opened(gateway, **made["mine"]) as mine, opened(gateway, **made["hers"]) as hers:
            assert isinstance(await asked(mine, protocol.Open(id="o", session=session)), protocol.SessionOpened)
            own = await asked(hers, protocol.Open(id="o", session="diary"))
            assert isinstance(own, protocol.SessionOpened) and own.session != session
            refused = await asked(hers, protocol.Get(id="h", what="history", session=session))
            assert isinstance(refused, protocol.Failure) and refused.code == "not_found"
            assert await places(mine, session) == 1 and await places(hers, own.session) == 0
            await owner.tokens(TokenOrder(what="revoke", name="hers"))
            assert await code_at_the_end(hers) == "unauthorized"
            assert isinstance(await asked(mine, protocol.Get(id="s", what="status")), protocol.Told)
        with pytest.raises(InvalidStatus):
            async with opened(gateway, **made["hers"]):
                pass
        async with opened(gateway, **made["admin"]) as admin:
            for request in (protocol.Tokens(id="t", what="list"), protocol.Ticket(id="k")):
                refused = await asked(admin, request)
                assert isinstance(refused, protocol.Failure) and refused.code == Forbidden.code
