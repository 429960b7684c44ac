"""An OpenAI-compatible endpoint that answers exactly what a test tells it to, well or badly.

async with OpenAIServer() as server:
    server.replies += [Refusal(status=429), Stream(steps=[text("Hello"), end()])]
    ...                                  # a client asks server.base_url
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentd.testing.http import HttpServer, Reply, Request

Step = Mapping[str, Any] | bytes | asyncio.Event
"""A step of a stream: a chunk as JSON, bytes as they are, or something to wait for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    status: int
    message: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """A streamed answer.

    If `done` is False, the connection is cut off after the last step; with `whole`, the reply then ends properly in
    HTTP, but without the last event of a stream.
    """

    steps: Sequence[Step]
    done: bool = True
    whole: bool = False


def delta(finish_reason: str | None = None, **said: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": finish_reason}]}


def text(content: str) -> dict[str, Any]:
    return delta(content=content)


def end(reason: str = "stop") -> dict[str, Any]:
    return delta(reason)


def usage(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """The chunk that follows an answer if the client asks for the figures."""
    figures = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": {**figures, "prompt_tokens_details": {"cached_tokens": cached}}}


def tool_call(index: int, arguments: str, *, name: str = "", call_id: str = "") -> dict[str, Any]:
    """A piece of a tool call."""
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if name:
        call["function"]["name"] = name
    if call_id:
        call |= {"id": call_id, "type": "function"}
    return delta(tool_calls=[call])


class OpenAIServer(HttpServer):
    """Sends `replies` in order; if there is none, the newest user message, word by word.

    Unless `counts` is False, `/tokenize` and `/apply-template` answer like llama-server and vLLM, with one token for
    each word.
    """

    def __init__(self, *, models: Sequence[str] = ("served",), counts: bool = True) -> None:
        super().__init__(self._reply)
        self.models = models
        self._counts = counts
        self.replies: deque[Refusal | Stream] = deque()
        self.completions: list[dict[str, Any]] = []
        """The bodies of the requests for completions."""
        self.headers: list[Mapping[str, str]] = []
        self.running = 0
        self.most_running = 0
        self.news = asyncio.Event()
        """Set whenever a completion begins or ends."""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def _reply(self, request: Request, reply: Reply) -> None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                await self._complete(request, reply)
            case "GET", "/v1/models":
                await reply.send_json(200, {"object": "list", "data": [{"id": name} for name in self.models]})
            case "POST", "/apply-template" if self._counts:
                await reply.send_json(200, {"prompt": " ".join(_texts(request.json))})
            case "POST", "/tokenize" if self._counts:
                asked = request.json
                words = asked["content"].split() if "content" in asked else " ".join(_texts(asked)).split()
                await reply.send_json(200, {"tokens": [*range(len(words))], "count": len(words)})
            case _:
                await reply.send_json(404, {"error": {"message": "no such path"}})

    async def _complete(self, request: Request, reply: Reply) -> None:
        self.completions.append(request.json)
        self.headers.append(request.headers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.news.set()
        try:
            answer = self.replies.popleft() if self.replies else _echo(request.json)
            if isinstance(answer, Refusal):
                error = {"message": answer.message, **answer.fields}
                await reply.send_json(answer.status, {"error": error}, answer.headers)
            else:
                await _stream(answer, reply)
        finally:
            self.running -= 1
            self.news.set()


async def _stream(answer: Stream, reply: Reply) -> None:
    await reply.head(200, {"content-type": "text/event-stream"})
    for step in answer.steps:
        match step:
            case asyncio.Event():
                await step.wait()
            case bytes():
                await reply.write(step)
            case _:
                await reply.write(b"data: " + json.dumps(step).encode() + b"\n\n")
    if answer.done:
        await reply.write(b"data: [DONE]\n\n")
    if answer.done or answer.whole:
        await reply.end()


def _echo(asked: Mapping[str, Any]) -> Stream:
    words = str(asked["messages"][-1]["content"]).split()
    return Stream(steps=[*(text(f"{word} ") for word in words), end(), usage(len(words), len(words))])


def _texts(asked: Mapping[str, Any]) -> list[str]:
    return [str(message["content"]) for message in asked["messages"]]
