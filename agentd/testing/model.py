"""A chat model that emits exactly the deltas of a script, at the moments that a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from agentd.errors import ModelError
from agentd.generation import Delta, Finish, ModelRequest, TextDelta, TextPart

Script = Callable[[ModelRequest], Iterable[Delta | Exception]]


def question_of(request: ModelRequest) -> str:
    """The text of the newest user message, without its passages."""
    newest = request.messages[-1]
    return "".join(part.text for part in newest.parts if isinstance(part, TextPart) and part.trust == "untrusted")


def echo(request: ModelRequest) -> Iterable[Delta | Exception]:
    """The script that repeats the question, word by word."""
    for word in question_of(request).split():
        yield TextDelta(text=f"{word} ")
    yield Finish(reason="stop")


class ScriptedModel:
    """Implements `ports.ChatModel`. While `gate` is not set, a stream waits before each delta."""

    name = "scripted"

    def __init__(self, script: Script = echo) -> None:
        self._script = script
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[ModelRequest] = []
        self.cancelled = 0
        self.running = 0
        self.most_running = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The script's deltas; an exception in the script is raised at its place."""
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        finished = False
        try:
            for delta in self._script(request):
                await self.gate.wait()
                await asyncio.sleep(0)
                if isinstance(delta, Exception):
                    raise delta
                finished = isinstance(delta, Finish)
                yield delta
        finally:
            self.running -= 1
            self.cancelled += not finished

    async def count_tokens(self, request: ModelRequest) -> int:
        """One token for each word of the question."""
        return len(question_of(request).split())


def failing(message: str) -> Script:
    """The script of a model that cannot answer."""
    return lambda request: [ModelError(message)]
