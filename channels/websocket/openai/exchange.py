"""One request that asks something, and its reply: whole or as a stream, as long as somebody is there to get it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from fastapi import Response
from pydantic import BaseModel

from agentd.errors import AgentdError, NotFound, Stopping
from agentd.ports.channels import Caller
from agentd.serving import protocol
from agentd.serving.visits import Visit
from channels.websocket.asgi import Receive, Scope, Send
from channels.websocket.gateway import Gateway
from channels.websocket.openai.events import KEEP_ALIVE, comment
from channels.websocket.openai.line import Line
from channels.websocket.openai.posting import Order, posted
from channels.websocket.openai.speech import Speech
from channels.websocket.openai.turned import Turned
from channels.websocket.refusals import refused, unanswered

BEAT_SECONDS = 10.0
"""After so long without anything else a comment is sent: the answer may be a long time in coming."""
STOP_SECONDS = 600.0
"""How long the turn of somebody who has left is waited for until it runs and can be stopped."""


class Reply(Protocol):
    """How a turn is told; a stream is `begin`, any number of `more`, and `end`."""

    def accepted(self) -> BaseModel | None:
        """What is told at once, if nobody waits for the answer."""
        ...

    def whole(self, answer: protocol.Answer) -> BaseModel: ...

    def begin(self) -> bytes: ...

    def more(self, text: str) -> bytes: ...

    def end(self, answer: protocol.Answer) -> bytes: ...


class Exchange(Response):
    """Asks when it is sent. What fails before anything was sent is raised, and has a status of its own."""

    def __init__(self, gateway: Gateway, caller: Caller, order: Order, reply: Callable[[Turned], Reply]) -> None:
        super().__init__()
        self._gateway = gateway
        self._caller = caller
        self._order = order
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._gateway.clients.visit(self._caller) as visit:
            turned = await posted(visit, self._order)
            talk = Talk(visit, turned, self._reply(turned), Line(scope, receive, send, turned.session))
            await self._until_over(talk, receive)

    async def _until_over(self, talk: Talk, receive: Receive) -> None:
        answering = asyncio.create_task(talk.answer(stream=self._order.asked.stream), name="answer to a request")
        leaving = asyncio.create_task(_gone(receive), name="the client of a request leaves")
        ending = asyncio.create_task(self._gateway.ending.wait(), name="end of all requests")
        try:
            await asyncio.wait([answering, leaving, ending], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await answering
                return
            await _cancelled(answering)
            if ending.done():
                await talk.line.fail(refused(Stopping("agentd stops; send the request again when it runs.")))
            elif not self._order.stays:
                await talk.stop(ending)
        finally:
            await _cancelled(answering, leaving, ending)


class Talk:
    """One turn, and who is told of it."""

    def __init__(self, visit: Visit, turned: Turned, reply: Reply, line: Line) -> None:
        self.line = line
        self._visit = visit
        self._turned = turned
        self._reply = reply
        self._speech = Speech(turned.turn)

    async def answer(self, *, stream: bool) -> None:
        """Returns when all of it was handed to the connection."""
        at_once = self._reply.accepted()
        if at_once is not None and not stream:
            await self.line.send(at_once)
            return
        try:
            answer = await self._heard(stream=stream)
        except AgentdError as error:
            await self.line.fail(refused(error))
            return
        if answer.outcome == "error":
            await self.line.fail(unanswered(answer.error_code, answer.text))
        elif stream:
            rest = self._speech.finish(answer)
            await self._begin()
            await self.line.end((self._reply.more(rest) if rest else b"") + self._reply.end(answer))
        else:
            await self.line.send(self._reply.whole(answer))
        self._visit.taken(answer)

    async def _heard(self, *, stream: bool) -> protocol.Answer:
        """The answer; what comes before it is sent on."""
        while True:
            message = await self._next()
            if isinstance(message, protocol.Answer) and self._turned.turn in message.answers:
                return message
            if isinstance(message, protocol.Failure) and message.session == self._turned.session:
                raise NotFound(message.message)
            text = self._speech.feed(message) if message is not None else ""
            if stream:
                await self._send_on(message, text)

    async def _next(self) -> protocol.ServerMessage | None:
        """None after a while in which nothing happened."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                return await self._visit.hear()
        return None

    async def _send_on(self, message: protocol.ServerMessage | None, text: str) -> None:
        if message is None or self._speech.began:
            await self._begin()
        if text:
            await self.line.write(self._reply.more(text))
        elif message is None:
            await self.line.write(KEEP_ALIVE)
        elif isinstance(message, protocol.Reading):
            await self.line.write(comment(f"{message.done} of {message.total} tokens are read"))

    async def _begin(self) -> None:
        if not self.line.begun:
            await self.line.begin(self._reply.begin())

    async def stop(self, ending: asyncio.Task[object]) -> None:
        """Nobody is there any more: the turn ends, as soon as it has begun."""
        stopping = asyncio.create_task(self._stop(), name="stop of a turn that nobody waits for")
        try:
            await asyncio.wait([stopping, ending], timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(stopping)

    async def _stop(self) -> None:
        while not self._speech.running:
            message = await self._visit.hear()
            if isinstance(message, protocol.Answer) and self._turned.turn in message.answers:
                return
            self._speech.feed(message)
        await self._visit.ask(protocol.Stop(id="stop", session=self._turned.session), protocol.Stopped)


async def _gone(receive: Receive) -> None:
    """Returns when the client has closed its side."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
