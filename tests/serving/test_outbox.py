"""The queue of one client: in order, bounded, and ended for who does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentd.serving import outbox as module
from agentd.serving import protocol
from agentd.serving.outbox import Outbox, Stuck


class Client:
    """Takes what is written while `reads` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.got: list[bytes] = []
        self.outbox = Outbox(self._write)
        self.writer = asyncio.create_task(self.outbox.run(), name="writer")

    async def _write(self, data: bytes) -> None:
        await self.reads.wait()
        self.got.append(data)


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    made = Client()
    try:
        yield made
    finally:
        made.outbox.close()
        made.writer.cancel()
        await asyncio.wait([made.writer])


async def test_messages_go_out_in_the_order_in_which_they_were_put() -> None:
    async with client() as c:
        for n in range(3):
            await c.outbox.put(protocol.Closing(reason=str(n)))
        await c.outbox.deliver(b"last\n")
        assert [protocol.decode_server(data) for data in c.got[:3]] == [
            protocol.Closing(reason=str(n)) for n in range(3)
        ]
        assert c.got[3] == b"last\n"


async def test_of_a_slow_client_little_is_kept_and_who_has_more_for_it_waits() -> None:
    async with client() as c:
        c.reads.clear()
        long = "x" * (module.QUEUED_BYTES // 2)
        await c.outbox.put(protocol.Question(session="s", turn="t", id="1", text=long))
        second = asyncio.create_task(c.outbox.put(protocol.Question(session="s", turn="t", id="2", text=long)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not second.done()
        c.reads.set()
        async with asyncio.timeout(60):
            await second
            await c.outbox.flush()
        assert len(c.got) == 2


async def test_flushing_ends_although_others_go_on_putting() -> None:
    async with client() as c:
        c.reads.clear()
        await c.outbox.put(protocol.Closing(reason="mine"))
        flushed = asyncio.create_task(c.outbox.flush())
        await asyncio.sleep(0)
        for _ in range(3):
            await c.outbox.put(protocol.Closing(reason="of somebody else"))
        c.reads.set()
        async with asyncio.timeout(60):
            await flushed
        assert c.got[0] == protocol.encode(protocol.Closing(reason="mine"))


async def test_a_client_that_does_not_read_is_stuck_and_whoever_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.05)
    async with client() as c:
        c.reads.clear()
        waiting = [asyncio.create_task(c.outbox.deliver(b"x" * module.QUEUED_BYTES)) for _ in range(3)]
        with pytest.raises(Stuck):
            await c.writer
        for result in await asyncio.gather(
            *waiting, c.outbox.put(protocol.Closing(reason="x")), return_exceptions=True
        ):
            assert isinstance(result, ConnectionError)
