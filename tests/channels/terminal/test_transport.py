"""What carries one client of the unix socket: well-behaved, garbage, floods and silence."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import UsageError
from agentd.ports.generation import Finish, TextDelta
from agentd.serving import connection as module
from agentd.serving import outbox, protocol
from agentd.serving.budget import OWNER
from agentd.testing.model import ScriptedModel
from tests.house import next_answer, running, status_until


async def lines(reader: asyncio.StreamReader, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [json.loads(await reader.readuntil(b"\n")) for _ in range(count)]


async def test_garbage_is_answered_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b'garbage\n\xff\xfe\n{"type":"dance"}\n{"type":"get","id":"1","what":"status"}\n')
        kinds = [message["type"] for message in await lines(reader, 5)]
        assert kinds == ["welcome", "error", "error", "error", "told"]


async def test_nothing_but_garbage_ends_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b"garbage\n" * 100)
        async with asyncio.timeout(60):
            data = await reader.read()
        assert data.count(b"bad_message") == module.MAX_GARBAGE
        async with house.client() as other:
            await other.open()


async def test_garbage_between_good_messages_ends_the_connection_too(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b'garbage\n{"type":"hello"}\n' * 1000)
        async with asyncio.timeout(60):
            data = await reader.read()
        assert data.count(b"bad_message") == module.ALL_GARBAGE


async def test_who_never_reads_has_few_requests_worked_on_and_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 1.0)
    async with running(tmp_path / "s") as house, house.raw() as (_, writer), house.client() as other:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        commands = b"".join(b'{"type":"command","id":"%d","text":"/help"}\n' % n for n in range(20_000))
        writer.write(commands)
        most = 0
        async with asyncio.timeout(30):
            while not writer.transport.is_closing():
                await other.sessions()
                most = max(most, sum("command for a client" in task.get_name() for task in asyncio.all_tasks()))
                with suppress(ConnectionError):
                    writer.write(b'{"type":"hello"}\n')
        assert 1 <= most <= OWNER.requests


async def test_a_flood_of_small_messages_leaves_the_others_their_turn(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (_, writer), house.client() as other:
        hellos = b'{"type":"hello"}\n' * 100_000
        writer.write(hellos)
        for _ in range(3):
            await other.sessions()
        assert writer.transport.get_write_buffer_size() > 0, "it was answered in the middle of the flood"


async def test_a_frame_that_is_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b"x" * (protocol.MAX_FRAME_BYTES + 100_000))
        welcome, refusal = await lines(reader, 2)
        assert (welcome["type"], refusal["code"]) == ("welcome", "too_large")
        assert "ingest" in refusal["message"]


async def test_a_message_of_one_mebibyte_is_answered_and_a_longer_one_refused(tmp_path: Path) -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="read"), Finish(reason="stop")])
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "x" * protocol.MAX_TEXT_BYTES)
        assert (await next_answer(client)).text == "read"
        with pytest.raises(UsageError, match="1,048,576"):
            await client.post(session, "x" * (protocol.MAX_TEXT_BYTES + 1))


async def test_a_client_that_never_reads_is_cut_off_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 2.0)
    model = ScriptedModel(lambda request: [TextDelta(text="x" * 4_000_000), Finish(reason="stop")])
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        reader, writer = await asyncio.open_unix_connection(str(house.socket), limit=1024)
        writer.write(protocol.encode(protocol.Hello()))
        writer.write(protocol.encode(protocol.Open(id="o", session=session)))
        await client.post(session, "hello")
        answer = await next_answer(client)
        await client.ack(answer.id)
        await status_until(client, "pending", undelivered=0)
        async with asyncio.timeout(60):
            while sum(task.get_name() == "client of the terminal channel" for task in asyncio.all_tasks()) > 1:
                await client.sessions()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError)):
                while True:
                    await reader.readexactly(65536)
        writer.transport.abort()
