"""A client of `/ws` is served like one of the unix socket, and one without manners is ended with the right code."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agentd.serving import connection, outbox, protocol
from agentd.testing.model import ScriptedModel
from channels.websocket.wire import FED_MESSAGES
from tests.channels.websocket.web import PROXY, Web, web
from tests.house import DEADLINE, next_answer, next_of


async def test_three_lines_that_somebody_types_are_enough(tmp_path: Path) -> None:
    async with web(tmp_path, settings=PROXY) as gateway, gateway.client() as ann:
        await ann.hear("welcome", v=1)
        await ann.connection.send('{"type":"open","id":"1"}')
        session = (await ann.hear("session"))["session"]
        await ann.connection.send('{"type":"message","id":"2","session":"' + session + '","text":"one two"}')
        assert (await ann.hear("answer"))["text"] == "one two "
        assert ann.connection.subprotocol is None


async def test_a_question_of_the_page_is_seen_in_the_terminal_and_the_other_way_round(tmp_path: Path) -> None:
    async with web(tmp_path, settings=PROXY) as gateway, gateway.client(subprotocols=["agentd.v1"]) as ann:
        assert ann.connection.subprotocol == "agentd.v1"
        await ann.say(type="open", id="1", session="shared")
        session = (await ann.hear("session"))["session"]
        async with gateway.house.client() as terminal:
            await terminal.open(session)
            await ann.say(type="message", id="2", session=session, text="from the page")
            await next_of(terminal, protocol.Question, text="from the page")
            answer = await next_answer(terminal)
            assert (answer.text, (await ann.hear("answer"))["id"]) == ("from the page ", answer.id)
            await terminal.ack(answer.id)
            await terminal.post(session, "from the terminal")
            await ann.hear("question", text="from the terminal")
            assert (await ann.hear("answer"))["text"] == "from the terminal "


async def test_each_person_has_sessions_of_their_own(tmp_path: Path) -> None:
    async with web(tmp_path, settings=PROXY) as gateway, gateway.client("ann") as ann, gateway.client("ben") as ben:
        await ann.say(type="open", id="1")
        session = (await ann.hear("session"))["session"]
        await ben.say(type="open", id="1", session=session)
        assert (await ben.hear("error", re="1"))["code"] == "not_found"


async def test_what_is_no_message_ends_a_connection_with_the_code_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(connection, "MAX_GARBAGE", 3)
    async with web(tmp_path, settings=PROXY) as gateway:
        async with gateway.client() as ann:
            await ann.connection.send(b"\x00binary")
            await ann.hear("error", code="bad_message")
            assert (await ann.end())[0] == 1003
        async with gateway.client() as ann:
            await ann.connection.send(b"\xff\xfe", text=True)
            assert (await ann.end())[0] == 1007
            assert not caplog.records, "whoever sends it would fill the log"
        async with gateway.client() as ann:
            with suppress(ConnectionClosed):  # it is ended while it still sends
                await ann.connection.send("x" * (protocol.MAX_FRAME_BYTES + 1))
            assert (await ann.end())[0] == 1009
        async with gateway.client() as ann:
            ann.connection.transport.write(b"\x83\x80\x00\x00\x00\x00")  # an opcode that nobody has assigned
            assert (await ann.end())[0] == 1002
        async with gateway.client() as ann:
            for _ in range(3):
                await ann.connection.send("garbage")
            await ann.hear("error", code="bad_message")
            assert (await ann.end())[0] == 1008
        async with gateway.client(subprotocols=["agentd.v9"]) as ann:
            assert (await ann.end())[0] == 1008


async def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    settings = {**PROXY, "requests_per_minute": 60, "questions_per_minute": 6}
    async with web(tmp_path, settings=settings) as gateway, gateway.client() as ann:
        await ann.say(type="open", id="open")
        session = (await ann.hear("session"))["session"]
        for n in range(2):
            await ann.say(type="message", id=f"m{n}", session=session, text="hello")
        refused = await ann.hear("error", re="m1", code="busy")
        assert 0 < refused["retry_after"] <= 10
        for n in range(20):
            await ann.say(type="get", id=str(n), what="sessions")
        assert 0 < (await ann.hear("error", re="19", code="busy"))["retry_after"] <= 1


async def test_a_message_in_many_pieces_and_many_messages_at_once_arrive_whole_and_in_order(tmp_path: Path) -> None:
    async with web(tmp_path, settings=PROXY) as gateway, gateway.client() as ann:
        await ann.say(type="open", id="open")
        session = (await ann.hear("session"))["session"]
        text = "long " * 40_000
        await ann.say(type="message", id="m", session=session, text=text)
        await ann.hear("answer")
        await ann.say(type="get", id="h", what="history", session=session)
        assert (await ann.hear("told"))["data"]["messages"][0]["text"] == text
        for n in range(4 * FED_MESSAGES):
            await ann.say(type="get", id=str(n), what="sessions")
        for n in range(4 * FED_MESSAGES):
            assert (await ann.hear("told"))["re"] == str(n)


@asynccontextmanager
async def stuck(gateway: Web, count: int) -> AsyncIterator[list[int]]:
    """The ports of so many clients that ask for a long history again and again, and never read it."""
    ends = []
    try:
        async with gateway.client() as ann:
            await ann.say(type="open", id="1", session="long")
            session = (await ann.hear("session"))["session"]
            await ann.say(type="message", id="2", session=session, text="word " * 100_000)
            await ann.hear("answer")
        for _ in range(count):
            end = socket.socket()
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            end.setblocking(False)
            host, _, port = gateway.host.rpartition(":")
            await asyncio.get_running_loop().sock_connect(end, (host, int(port)))
            headers = {"X-Forwarded-User": "ann"}
            client = await connect(f"ws://{gateway.host}/ws", sock=end, proxy=None, additional_headers=headers)
            client.transport.pause_reading()
            ends.append(client)
            for n in range(4):
                await client.send(json.dumps({"type": "get", "id": str(n), "what": "history", "session": session}))
        yield [client.transport.get_extra_info("sockname")[1] for client in ends]
    finally:
        for client in ends:
            client.transport.abort()


def connected(gateway: Web, ports: list[int]) -> list[int]:
    """Those of these ports from which the daemon still has a connection, as the kernel says."""
    own = int(gateway.host.rpartition(":")[2])
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
        if here == own and there in ports and fields[9] != "0":
            found.append(there)
    return found


async def test_who_does_not_read_is_cut_off_and_others_are_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.5)
    async with web(tmp_path, settings=PROXY) as gateway, stuck(gateway, 5) as ports:
        async with gateway.client("ben") as ben:
            await ben.say(type="open", id="1")
            session = (await ben.hear("session"))["session"]
            await ben.say(type="message", id="2", session=session, text="hello")
            assert (await ben.hear("answer"))["text"] == "hello "
        async with asyncio.timeout(DEADLINE):
            while connected(gateway, ports):  # the kernel tells nobody  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert "does not read" in caplog.text


async def test_at_the_end_clients_are_told_and_get_what_was_asked_before(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model, PROXY) as gateway, gateway.client() as ann:
        await ann.say(type="open", id="1")
        session = (await ann.hear("session"))["session"]
        await ann.say(type="message", id="2", session=session, text="hello")
        await ann.hear("state", state="running")
        gateway.house.stop.set()
        await ann.hear("closing")
        await ann.say(type="message", id="3", session=session, text="too late")
        assert (await ann.hear("error", re="3"))["code"] == "stopping"
        model.gate.set()
        assert (await ann.hear("answer"))["text"] == "hello "
        assert (await ann.end())[0] == 1012
