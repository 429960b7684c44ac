"""A daemon whose model does what the question says, and real clients of OpenAI's API that talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from openai import AsyncOpenAI
from pydantic import JsonValue

from agentd.errors import ModelError
from agentd.ports.generation import Delta, Finish, ModelRequest, Reading, TextDelta, TextPart, Usage
from agentd.serving import protocol
from agentd.testing.model import ScriptedModel, calls, question_of, results_of
from tests.channels.websocket.web import Web, web
from tests.house import status_until

DEADLINE = 60.0
OWLS = "# Owls\n\nOwls hunt mice at night with their silent wings.\n"
ASKED = "What do owls hunt at night?"
SAID = ["Owls hunt mice at night ", "with their silent wings."]
ANSWER = "Owls hunt mice at night with their silent wings. [1]"
LIST = "\n\n---\nSources:\n[1] Owls (upload:owls.md)"
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather of a place",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}
CALL = ("weather", '{"place": "Ulm"}')
FIGURES = Usage(prompt_tokens=7, cached_tokens=2, completion_tokens=3)


def script(request: ModelRequest) -> Iterable[Delta | Exception]:
    """What the model does with a question: a word of it says what, otherwise it repeats it."""
    asked, results = _asked(request), results_of(request)
    if results:
        return [TextDelta(text=f"It is {results[-1]}."), FIGURES, Finish(reason="stop")]
    if any(tool.name == WEATHER["name"] for tool in request.tools):
        return [FIGURES, *calls(CALL)]
    if "broken" in asked:
        return [ModelError("the model is broken")]
    if "breaks" in asked:
        return [TextDelta(text="Some text "), ModelError("the model broke")]
    if "slowly" in asked:
        return [Reading(done=5, total=10), Reading(done=9, total=10), *_words(asked)]
    if asked == ASKED and request.searched:
        return [*(TextDelta(text=piece) for piece in SAID), FIGURES, Finish(reason="stop")]
    return _words(asked)


def _words(text: str) -> list[Delta]:
    said = [TextDelta(text=f"{word} ") for word in text.split()]
    return [*said, FIGURES, Finish(reason="length" if "long" in text else "stop")]


def _asked(request: ModelRequest) -> str:
    """The newest question: after it, the calls of a turn may follow."""
    return question_of(request)


def texts(request: ModelRequest) -> list[tuple[str, str]]:
    """The role and the text of each message of a request."""
    return [
        (message.role, "".join(part.text for part in message.parts if isinstance(part, TextPart)))
        for message in request.messages
    ]


def events(body: str) -> list[Any]:
    """The data of the events of a stream, without comments."""
    blocks = [block.split("\n") for block in body.strip().split("\n\n")]
    data = [line.removeprefix("data: ") for block in blocks for line in block if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


class Served:
    """The gateway, its model, and the clients that talk to it."""

    def __init__(self, gateway: Web, model: ScriptedModel, token: str) -> None:
        self.gateway = gateway
        self.model = model
        self.token = token

    @asynccontextmanager
    async def openai(self) -> AsyncIterator[AsyncOpenAI]:
        http = httpx2.AsyncClient(trust_env=False, timeout=DEADLINE)
        url = f"{self.gateway.address}/v1"
        async with AsyncOpenAI(base_url=url, api_key=self.token, max_retries=0, http_client=http) as client:
            yield client

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx2.AsyncClient]:
        async with self.gateway.http(Authorization=f"Bearer {self.token}") as http:
            yield http

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """The model says nothing meanwhile."""
        self.model.gate.clear()
        try:
            yield
        finally:
            self.model.gate.set()

    async def listed(self) -> list[str]:
        """The titles of the owner's sessions."""
        async with self.gateway.house.client() as client:
            return [session.title for session in (await client.sessions()).sessions]

    async def said(self, session: str) -> list[str]:
        async with self.gateway.house.client() as client:
            return [message.text for message in (await client.history(session)).messages]

    async def until_running(self, turns: int) -> None:
        """Returns when so many turns run, and none waits."""
        async with self.gateway.house.client() as client:
            await status_until(client, "turns", running=turns, waiting=0)

    async def leaves(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        """Somebody asks this, and leaves as soon as the model works on it."""
        async with self.http() as http:
            asking = asyncio.create_task(http.post(path, json=body, headers=headers), name="somebody asks")
            await self.until_running(1)
            asking.cancel()
            await asyncio.wait([asking])


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    model = ScriptedModel(script, tools=True, writes=True)
    unlimited: dict[str, JsonValue] = {"requests_per_minute": 0, "questions_per_minute": 0}
    async with web(folder, model, unlimited, **settings) as gateway, gateway.house.client() as client:
        async for _ in client.upload("owls.md", OWLS.encode()):
            pass
        yield Served(gateway, model, await token(gateway))


async def token(gateway: Web, principal: str = "") -> str:
    """The secret of a new token, of the owner or of a person."""
    async with gateway.house.client() as client:
        name = principal or "mine"
        order = protocol.TokenOrder(what="create", name=name, principal=principal or None, scopes=("chat",))
        return (await client.tokens(order)).secret
