"""The client of the protocol, against a real daemon and against one that misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from agentd.errors import IdReused, NotFound, Unreachable, UsageError
from agentd.serving import client as client_module
from agentd.serving import live, protocol
from agentd.serving.client import Client, Disconnected, new_message_id
from agentd.serving.socket import FULL_SECONDS, open_socket
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
    monkeypatch.setattr(live, "MAX_LIVE", 10)
    state = protocol.encode(protocol.State(session="s", turn="t", state="running"))
    answer = protocol.Answer(session="s", turn="t", id="a", answers=("t",), outcome="answer", text="x")

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME + state * 5 + protocol.encode(answer) + state * 50)
        writer.write(protocol.encode(protocol.Told(re="r1", data={})))
        await reader.read()

    async with server(tmp_path / "s", flood) as path, await Client.connect(path) as client:
        await client.status()
        first = await next_of(client, protocol.Answer)
        assert first == answer
        await next_of(client, protocol.Truncated)
        assert len(client._live.kept) <= 11


async def test_of_endless_long_answers_that_nobody_reads_a_bounded_number_of_bytes_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_LIVE_BYTES", 1_000_000)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        for _ in ("hello", "get"):
            await reader.readuntil(b"\n")
        for n in range(50):
            answer = protocol.Answer(
                session="s", turn="t", id=f"a{n}", answers=("t",), outcome="answer", text="x" * 100_000
            )
            writer.write(protocol.encode(answer))
            await writer.drain()
        writer.write(protocol.encode(protocol.Told(re="r1", data={})))
        await reader.read()

    async with server(tmp_path / "s", flood) as path, await Client.connect(path) as client:
        await client.status()
        kept = [message for message, _ in client._live.kept if isinstance(message, protocol.Answer)]
        assert 5 <= len(kept) < 10 and kept[-1].id == "a49"
        assert client._live.size == sum(size for _, size in client._live.kept) <= 1_000_000
        await next_of(client, protocol.Truncated)


async def test_of_endless_replies_to_one_request_the_newest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_REPLIES", 3)
    counts = {"found": 0, "added": 0, "changed": 0, "unchanged": 0, "removed": 0, "chunks": 0}

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        for _ in ("hello", "ingest", "get"):
            await reader.readuntil(b"\n")
        for n in range(100):
            writer.write(protocol.encode(protocol.IngestState(re="r1", done=n, finished=n == 99, **counts)))
        writer.write(protocol.encode(protocol.Told(re="r2", data={})))
        await reader.read()

    async with server(tmp_path / "s", flood) as path, await Client.connect(path) as client:
        states = client.ingest([Path("/d")])
        first = asyncio.ensure_future(anext(states))
        await asyncio.sleep(0)  # it is the first request
        await client.status()
        told = [(await first).done] + [state.done async for state in states]
        assert told[-1] == 99 and len(told) <= 5


async def test_a_message_that_is_too_long_for_the_client_is_named(tmp_path: Path) -> None:
    async def shouts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME + b"x" * (protocol.MAX_FRAME_BYTES * 2 + 100_000))
        await reader.read()

    async with server(tmp_path / "s", shouts) as path, await Client.connect(path) as client:
        with pytest.raises(Disconnected, match="cannot read"):
            async for _ in client.messages():
                pass


async def test_who_is_sent_away_says_why(tmp_path: Path) -> None:
    busy = protocol.encode(protocol.Failure(code="busy", message="too many; connect again."))

    async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(busy)

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        await reader.readuntil(b"\n")
        writer.write(busy)

    async with server(tmp_path / "s", full) as path:
        with pytest.raises(Unreachable, match="too many; connect again"):
            await Client.connect(path)
    async with server(tmp_path / "t", later) as path, await Client.connect(path) as client:
        with pytest.raises(Disconnected, match="too many; connect again"):
            async for _ in client.messages():
                pass


async def test_a_name_that_is_too_long_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        with pytest.raises(UsageError, match="at most 200 characters"):
            await client.open("x" * 201)
        await client.open("x")


async def test_a_long_path_can_be_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    async with running(folder) as house:
        assert len(str(house.socket).encode()) > 108
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            assert (await next_answer(client)).text == "hello "


async def test_a_daemon_to_which_too_many_connect_at_once_is_no_impostor(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as waiting:
        listening.bind(str(path))
        listening.listen(0)
        for _ in range(2):
            other = waiting.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            with suppress(BlockingIOError):
                other.connect(str(path))
        opening = asyncio.create_task(open_socket(path))
        done, _ = await asyncio.wait([opening], timeout=2 * FULL_SECONDS)
        assert not done
        accepted, _ = listening.accept()
        waiting.enter_context(accepted)
        async with asyncio.timeout(60):
            _, writer = await opening
        assert writer.get_extra_info("socket").getpeername() == str(path)
        writer.close()
        await writer.wait_closed()


async def test_what_only_a_newer_daemon_says_is_passed_over(tmp_path: Path) -> None:
    async def newer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME + b'{"type":"mood","good":true}\n' + protocol.encode(protocol.Closing(reason="bye")))
        await reader.read()

    async with server(tmp_path / "s", newer) as path, await Client.connect(path) as client:
        async for message in client.messages():
            assert message == protocol.Closing(reason="bye")
            break
