"""The client of the protocol, against a real daemon and against one that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd import client as client_module
from agentd import protocol
from agentd.client import Client, Disconnected, new_message_id
from agentd.errors import IdReused, NotFound, Unreachable, UsageError
from tests.house import next_answer, next_of, running

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WELCOME = protocol.encode(protocol.Welcome(server="scripted", epoch="e", pid=1))


@asynccontextmanager
async def server(path: Path, handler: Handler) -> AsyncIterator[Path]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_unix_server(connected, path)
    try:
        yield path
    finally:
        listening.close()


async def test_a_question_gets_its_chunks_and_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        session = (await client.open()).session
        accepted = await client.post(session, "one two three")
        pieces = []
        answer: protocol.Answer | None = None
        async for message in client.messages():
            if isinstance(message, protocol.Chunk):
                pieces.append(message.text)
            if isinstance(message, protocol.Answer):
                answer = message
                break
        assert answer is not None and answer.turn == accepted.turn
        assert "".join(pieces) == answer.text == "one two three "
        await client.ack(answer.id)


async def test_errors_of_the_daemon_are_raised_as_what_they_are(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        with pytest.raises(NotFound):
            await client.open("00000000000000aa-00000000")
        session = (await client.open()).session
        with pytest.raises(UsageError, match="empty"):
            await client.post(session, "  ")
        message_id = new_message_id()
        await client.post(session, "one", message_id=message_id)
        with pytest.raises(IdReused):
            await client.post(session, "two", message_id=message_id)


async def test_requests_at_the_same_time_each_get_their_own_reply(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        opened = await asyncio.gather(*(client.open(f"name {n}") for n in range(20)))
        assert [session.name for session in opened] == [f"name {n}" for n in range(20)]


async def test_nobody_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="agentd run"):
        await Client.connect(tmp_path / "no.sock")
    with pytest.raises(Unreachable, match="agentd run"):
        await Client.connect(tmp_path / "no folder" / "no.sock")


async def test_a_server_that_says_nothing_or_nonsense_is_not_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\n")

    async def newer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(protocol.encode(protocol.Welcome(v=2, server="later", epoch="e", pid=1)))

    for n, handler in enumerate((silent, nonsense, newer)):
        async with server(tmp_path / str(n), handler) as path:
            with pytest.raises(Unreachable):
                await Client.connect(path)


async def test_a_lost_connection_ends_requests_and_messages(tmp_path: Path) -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        await reader.readuntil(b"\n")
        await reader.readuntil(b"\n")

    async with server(tmp_path / "s", dies) as path, await Client.connect(path) as client:
        with pytest.raises(Disconnected):
            await client.open()
        with pytest.raises(Disconnected):
            async for _ in client.messages():
                pass
        with pytest.raises(Disconnected):
            await client.post("s", "text")


async def test_a_daemon_that_does_not_reply_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REPLY_SECONDS", 0.05)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        await reader.read()

    async with server(tmp_path / "s", deaf) as path, await Client.connect(path) as client:
        with pytest.raises(Disconnected, match="did not reply"):
            await client.open()


async def test_of_a_flood_that_nobody_reads_the_answers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_LIVE", 10)
    state = protocol.encode(protocol.State(session="s", turn="t", state="running"))
    answer = protocol.Answer(session="s", turn="t", id="a", answers=("t",), outcome="answer", text="x")

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME + state * 5 + protocol.encode(answer) + state * 50)
        writer.write(protocol.encode(protocol.Told(re="r1", data={})))
        await reader.read()

    async with server(tmp_path / "s", flood) as path, await Client.connect(path) as client:
        await client.get("status")
        first = await next_of(client, protocol.Answer)
        assert first == answer
        await next_of(client, protocol.Truncated)
        assert len(client._live) <= 11


async def test_a_long_path_can_be_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    async with running(folder) as house:
        assert len(str(house.socket).encode()) > 108
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            assert (await next_answer(client)).text == "hello "
