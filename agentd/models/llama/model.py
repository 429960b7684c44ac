"""`LlamaModel`: a GGUF file as a `ChatModel`. If native code crashes, the child is restarted; the daemon goes on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self

from agentd.errors import Busy, ModelError, TimedOut
from agentd.models.llama.advice import NO_ADVICE, Advice
from agentd.models.llama.answer import Answer, ChildDied, Item, Opened, Placed, Tokens, Vectors, Working
from agentd.models.llama.checks import Checks
from agentd.models.llama.probe import Probed, Trial
from agentd.models.llama.process import Process
from agentd.models.llama.request import count_message, generate_message, warm_message
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.supervisor import ModelState, OnState, Patience, Supervisor
from agentd.models.llama.wire import Load
from agentd.ports.generation import (
    Delta,
    Finish,
    Limits,
    ModelRequest,
    Priority,
    QueuePosition,
    Reading,
    ReasoningDelta,
    Restarted,
    TextDelta,
    ToolCallDelta,
)
from agentd.ports.models import Pace

QUEUE = 64
"""Requests that may wait for a sequence; background work may fill only half of the queue."""
DEFAULT = EngineSettings()
_SAID = (TextDelta, ReasoningDelta, ToolCallDelta)
_UNSHOWN = (Placed, Working, Tokens, Opened, Vectors)


class LlamaModel:
    """Loads on first use or by `start`. Leaving `async with` (or `close`) ends the child process.

    `QUEUE` requests wait beside those that run. `tools` "on" offers tools if the model's template has a form for calls,
    "off" never does, and "auto" does so only after a trial in which the model used them. `on_state` is told of each
    change of the model's state.
    """

    def __init__(
        self,
        file: ModelFile,
        settings: EngineSettings = DEFAULT,
        *,
        tools: Literal["auto", "on", "off"] = "on",
        on_state: OnState | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.name = file.path.stem
        self.writes = True
        self._most = settings.sequences + QUEUE
        self._open = 0
        self._numbers = itertools.count(1)
        load = Load(file=file.absolute(), settings=settings)
        self._supervisor = Supervisor(self.name, load, patience=patience or Patience(), on_state=on_state)
        self._offer = tools
        self._on_state = on_state
        self._warming = 0
        """How many beginnings of prompts are being read ahead."""
        checks = None if file.checks is None else Checks(file.checks)
        self._trial = Trial(self, file.path, checks, busy=self._busy, ended=self._tried)

    @property
    def state(self) -> ModelState | None:
        """None until the model was first wanted."""
        return self._supervisor.state

    @property
    def _advice(self) -> Advice:
        return self._supervisor.loaded.advice if self._supervisor.loaded else NO_ADVICE

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the loaded model, for example that its template is missing."""
        return self._supervisor.loaded.notes if self._supervisor.loaded else ()

    @property
    def knows_tools(self) -> bool:
        """Whether its template has a form for calls; assumed until the model is loaded."""
        return self._supervisor.loaded is None or self._supervisor.loaded.tools

    @property
    def way(self) -> str:
        """The name of the way in which llama.cpp computes (`ways`); "" until the model is loaded."""
        return self._supervisor.loaded.way if self._supervisor.loaded else ""

    @property
    def switched_off(self) -> str:
        """A sentence about what of llama.cpp is switched off here and why; "" if nothing is, or until it is loaded."""
        return self._supervisor.loaded.switched_off if self._supervisor.loaded else ""

    @property
    def tools(self) -> bool:
        """See `ports.ToolUser`."""
        found = self._trial.found
        offered = self._offer == "on" or (self._offer == "auto" and found is not None and found.tools)
        return offered and self.knows_tools

    @property
    def cites(self) -> bool:
        """See `ports.Citer`."""
        return self._trial.found is not None and self._trial.found.cites

    @property
    def pace(self) -> Pace | None:
        """See `ports.Paced`; known once the model is loaded."""
        return self._supervisor.pace

    async def start(self) -> int:
        """Load now, even after a crash loop; the process id of the child. `ModelError` says why it cannot be used."""
        self._supervisor.forgive()
        return (await self.child()).pid

    async def close(self) -> None:
        await self._trial.close()
        await self._supervisor.close()

    async def child(self) -> Process:
        """The child process with the loaded model, for an embedding model that shares it."""
        process = await self._supervisor.child()
        await self._trial.begin()
        return process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def context(self, limits: Limits) -> int | None:
        """See `ports.Bounded`."""
        await self._child(limits.load)
        return self._supervisor.loaded.context if self._supervisor.loaded else None

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of the prompt as the model's chat template renders it."""
        limits = request.limits
        process = await self._child(limits.load)
        answer = process.ask(count_message(request, next(self._numbers)))
        try:
            item = await answer.next(limits.first_token)
        except TimeoutError:
            raise TimedOut(f"{self.name} did not count a prompt within {limits.first_token:g} s.") from None
        except ChildDied as died:
            raise ModelError(f"{self.name} crashed while it counted a prompt: {died}; try again.") from None
        finally:
            process.leave(answer)
        assert isinstance(item, Tokens)
        return item.count

    async def warm(self, request: ModelRequest) -> int:
        """See `ports.Warmable`."""
        process = await self._child(request.limits.load)
        answer = process.ask(warm_message(request, next(self._numbers)))
        self._warming += 1
        try:
            item = await answer.next(request.limits.turn)
        except TimeoutError:
            raise TimedOut(f"{self.name} had no time to read ahead within {request.limits.turn:g} s.") from None
        except ChildDied as died:
            if self._supervisor.closed:
                return 0
            raise ModelError(f"{self.name} crashed while it read ahead: {died}.") from None
        finally:
            self._warming -= 1
            process.leave(answer)
        assert isinstance(item, Tokens)
        return item.count

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """See `ChatModel.stream`. `Busy` if the queue is full; `TimedOut` names the limit that has passed.

        If the child dies, the request is repeated: once silently if nothing was said, and once after `Restarted` if
        something was said.
        """
        number = next(self._numbers)
        generate_message(request, number)  # a wrong request is refused before the model is loaded
        if request.priority != "background":
            self._trial.give_way()
        with self._admitted(request.priority):
            deadline = asyncio.get_running_loop().time() + request.limits.turn
            silent, aloud = 1, 1
            while True:
                process = await self._child(min(request.limits.load, deadline - asyncio.get_running_loop().time()))
                answer = process.ask(generate_message(request, number, self._advice))
                reader = _Reader(answer, request.limits, deadline, self.name)
                said = False
                try:
                    while True:
                        delta = await reader.next()
                        if not said and isinstance(delta, _SAID):
                            said = True
                            self._supervisor.prove()
                        yield delta
                        if isinstance(delta, Finish):
                            return
                except ChildDied as died:
                    silent, aloud = (silent, aloud - 1) if said else (silent - 1, aloud)
                    if min(silent, aloud) < 0:
                        raise ModelError(f"{self.name} crashed again on this answer: {died}.") from None
                    if said:
                        yield Restarted(reason=f"{self.name} crashed: {died}")
                finally:
                    process.leave(answer)

    def _tried(self) -> None:
        """The trial is over, and it may have shown that the model can do more."""
        if self._on_state is not None and self.state == "ready":
            self._on_state("ready", "")

    async def try_out(self) -> Probed:
        """Try now what it does with tools and passages, whatever is known already; raises like `stream`."""
        return await self._trial.now()

    def _busy(self) -> bool:
        return self._open > 0 or self._warming > 0

    @contextmanager
    def _admitted(self, priority: Priority) -> Iterator[None]:
        if self._open >= self._most - (QUEUE // 2 if priority == "background" else 0):
            raise Busy(f"{self.name} is busy with {self._open} requests and accepts no more; try again later.")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _child(self, seconds: float) -> Process:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await self.child()
        except TimeoutError:
            raise TimedOut(
                f"{self.name} was not loaded within {max(0.0, seconds):g} s (the limit for loading);"
                " ask again in a moment, or choose a smaller model."
            ) from None


class _Reader:
    """Reads one answer within its limits; `deadline` is a time of the event loop's clock."""

    def __init__(self, answer: Answer, limits: Limits, deadline: float, name: str) -> None:
        self._answer, self._limits, self._deadline, self._name = answer, limits, deadline, name
        self._limit, self._problem = limits.first_token, "did not begin to answer"
        self._clock = asyncio.get_running_loop().time

    async def next(self) -> Delta:
        """The next delta; `TimedOut` names the limit that has passed; `ChildDied`."""
        limits = self._limits
        while True:
            item = await self._item()
            match item:
                case TextDelta() | ReasoningDelta() | ToolCallDelta() | Working():
                    self._limit, self._problem = limits.idle, "said nothing more"
                case QueuePosition() | Placed(reading=False):
                    self._limit = limits.turn
                case Placed():
                    self._limit, self._problem = limits.first_token, "did not begin to answer"
                case Reading() if item.done:
                    self._limit, self._problem = limits.first_token, "read no more of the prompt"
            if not isinstance(item, _UNSHOWN):
                return item

    async def _item(self) -> Item:
        left = self._deadline - self._clock()
        try:
            return await self._answer.next(min(self._limit, left))
        except TimeoutError:
            if left <= self._limit:
                self._limit, self._problem = self._limits.turn, "did not end its answer"
            raise TimedOut(f"{self._name} {self._problem} within {self._limit:g} s and was stopped.") from None
