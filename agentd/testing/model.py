"""A chat model that emits exactly the deltas of a script, when the test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from agentd.errors import ModelError
from agentd.ports.generation import (
    Delta,
    Finish,
    ModelRequest,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolResultPart,
)
from agentd.ports.models import Pace
from agentd.text.untrusted import unfenced

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


def calls(*tools: tuple[str, str], piece: int = 0) -> Iterable[Delta | Exception]:
    """Calls of tools by name, with arguments as JSON text, split into pieces of this many characters (0: whole)."""
    for index, (name, arguments) in enumerate(tools):
        size = piece or max(1, len(arguments))
        pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)] or [""]
        for n, part in enumerate(pieces):
            yield ToolCallDelta(index=index, call_id=f"c{index}", name="" if n else name, arguments=part)
    yield Finish(reason="tool_calls")


def says(text: str) -> Iterable[Delta | Exception]:
    """An answer in one piece."""
    return (TextDelta(text=text), Finish(reason="stop"))


def in_turn(*scripts: Iterable[Delta | Exception]) -> Script:
    """One script after the other, one for each stream."""
    left = iter([list(script) for script in scripts])
    return lambda request: next(left)


def results_of(request: ModelRequest) -> list[str]:
    """The results of the tools, in the order of the calls."""
    parts = (part for message in request.messages for part in message.parts)
    return [unfenced(part.text) for part in parts if isinstance(part, ToolResultPart)]


class ScriptedModel:
    """Implements `ports.ChatModel` and, on request, `ports.ToolUser`, `ports.Writer`, `ports.Citer` and `Paced`.

    While `gate` is not set, a stream waits before each delta. `count` is how it counts tokens.
    """

    name = "scripted"

    def __init__(
        self,
        script: Script = echo,
        *,
        tools: bool = False,
        writes: bool = False,
        cites: bool = False,
        pace: Pace | None = None,
        count: Callable[[ModelRequest], int] = lambda request: len(question_of(request).split()),
    ) -> None:
        self._script = script
        self._count = count
        self.tools = tools
        self.writes = writes
        self.cites = cites
        self.pace = pace
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[ModelRequest] = []
        self.cancelled = 0
        self.running = 0
        self.most_running = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The script's deltas; an exception in the script is raised when its turn comes."""
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
        """One token for each word of the question, unless `count` says otherwise."""
        return self._count(request)


def failing(message: str) -> Script:
    """The script of a model that cannot answer."""
    return lambda request: [ModelError(message)]
