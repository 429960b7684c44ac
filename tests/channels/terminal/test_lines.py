"""The lines of a client: whole, too long, half, and too late."""

from __future__ import annotations

import asyncio

import pytest

from agentd.errors import AgentdError
from agentd.records import OWNER
from agentd.serving.budget import Budgets
from agentd.serving.protocol import MAX_FRAME_BYTES
from channels.terminal import lines as module
from channels.terminal.lines import Lines, TooLarge, TooSlow


class Client:
    def __init__(self, budgets: Budgets | None = None) -> None:
        self.reader = asyncio.StreamReader(limit=module.READ_BYTES)
        self.ended = ""
        self.seat = (budgets or Budgets()).admit(OWNER, self._end)
        self._lines = Lines(self.reader)

    def _end(self, why: AgentdError) -> None:
        self.ended = str(why)

    async def next(self) -> bytes | None:
        return await self._lines.next(self.seat)

    async def all(self) -> list[bytes]:
        found = []
        while (line := await self.next()) is not None:
            found.append(line)
            self.seat.done()
        return found


async def test_lines_come_as_they_were_sent_however_they_were_cut() -> None:
    sent = [b"one\n", b"\n", b"x" * 300_000 + b"\n", b"last\n"]
    client = Client()
    for byte in (data := b"".join(sent))[:8]:
        client.reader.feed_data(bytes([byte]))
    client.reader.feed_data(data[8:] + b"half")
    client.reader.feed_eof()
    assert await client.all() == sent


async def test_a_line_may_be_as_long_as_a_frame_and_not_longer() -> None:
    client = Client()
    client.reader.feed_data(b"x" * (MAX_FRAME_BYTES - 1) + b"\n")
    assert len(await client.next() or b"") == MAX_FRAME_BYTES
    for rest in (b"x" * MAX_FRAME_BYTES + b"\n", b"x" * (MAX_FRAME_BYTES + 100_000)):
        client = Client()
        client.reader.feed_data(rest)
        with pytest.raises(TooLarge, match="ingest"):
            await client.next()


async def test_who_says_nothing_or_only_half_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_SECONDS", 0.01)
    monkeypatch.setattr(module, "MESSAGE_SECONDS", 0.01)
    silent = Client()
    with pytest.raises(TooSlow, match="no whole message"):
        await silent.next()
    half = Client()
    half.reader.feed_data(b"one\ntw")
    assert await half.next() == b"one\n"
    with pytest.raises(TooSlow):
        await half.next()


async def test_who_has_spoken_may_be_silent_for_as_long_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_SECONDS", 0.01)
    client = Client()
    client.reader.feed_data(b"one\n")
    await client.next()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.next()


async def test_half_messages_of_many_clients_hold_a_bounded_number_of_bytes() -> None:
    budgets, clients = Budgets(), []
    for _ in range(20):
        clients.append(client := Client(budgets))
        client.reader.feed_data(b"x" * (MAX_FRAME_BYTES - 1))
        client.reader.feed_eof()
        assert await client.next() is None
    held = sum(seat.arriving for seat in budgets.of(OWNER))
    assert len(budgets.of(OWNER)) == sum(not client.ended for client in clients)
    assert MAX_FRAME_BYTES < held <= budgets.allowance(OWNER).arriving
