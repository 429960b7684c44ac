"""A conversation with a daemon that outlives its connections: it connects again, goes on where it was, repeats nothing.

async with Talk(lambda: Client.connect_web("http://127.0.0.1:24368", token), "diary") as talk:
    answer = await talk.ask("What is in my documents?")
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from agentd.delivery.backoff import Backoff
from agentd.errors import NotAccepted, Stopping, Unreachable
from agentd.serving import protocol
from agentd.serving.client import Client, Disconnected, new_message_id

WAITS = Backoff(first=0.5, longest=30.0)
"""Before it connects again."""
TRIES = 20
"""Of connecting again, some minutes in all; then the error is raised."""


class Talk:
    """`session` is a name, an id, "last", or None for a new one; from the first connection on it is the id."""

    def __init__(self, connect: Callable[[], Awaitable[Client]], session: str | None = None) -> None:
        self.session = session
        self._connect = connect
        self._client: Client | None = None
        self._cursor: protocol.Cursor | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def ask(self, text: str, *, message_id: str | None = None) -> protocol.Answer:
        """The answer to a question, which is asked once however often the connection is lost meanwhile."""
        message_id = message_id or new_message_id()
        while True:
            try:
                client = self._client or await self._open()
                assert self.session is not None, "it was opened"
                await client.post(self.session, text, message_id=message_id)
                return await self._answer(client, message_id)
            except (Disconnected, Stopping):
                await self._again()

    async def _answer(self, client: Client, message_id: str) -> protocol.Answer:
        async for message in client.messages():
            self._cursor = getattr(message, "cursor", None) or self._cursor
            if isinstance(message, protocol.Answer):
                await client.ack(message.id)
                if message.in_reply_to == message_id:
                    return message
        raise AssertionError("the messages end with an error")

    async def _open(self) -> Client:
        self._client = await self._connect()
        try:
            opened = await self._client.open(self.session, after=self._cursor)
        except BaseException:
            await self._close()
            raise
        self.session = opened.session
        return self._client

    async def _again(self) -> None:
        rng = random.Random()
        for tries in range(TRIES):
            await self._close()
            await asyncio.sleep(WAITS.drawn(tries, rng))
            try:
                await self._open()
                return
            except (Unreachable, NotAccepted):
                if tries == TRIES - 1:
                    raise

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
