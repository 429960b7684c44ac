"""The model that answers now. Another one can be chosen while answers of the earlier one still run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentd.errors import ModelError
from agentd.ports.generation import Delta, Limits, ModelRequest
from agentd.ports.models import Bounded, ChatModel, Citer, Loadable, Pace, Paced, ToolUser, Warmable, Writer

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed"]
Tell = Callable[[str, State, str], None]
"""Takes the name of a model, its new state, and the reason."""


@dataclass(kw_only=True, slots=True, eq=False)
class _Condition:
    """The state of one model; another model may have the same name."""

    state: State = "ready"
    reason: str = ""


class ChosenModel:
    """Implements `ports.ModelChoice`, and `ports.ChatModel` with the model that is chosen.

    Without a `first` model there is none until a file is chosen. `build` makes the model for a GGUF file, and
    passes each new state of the model, with the reason, to its second argument.
    """

    def __init__(
        self, first: ChatModel | None, build: Callable[[Path, Callable[[State, str], None]], ChatModel], tell: Tell
    ) -> None:
        self._model = first
        self._build = build
        self._tell = tell
        self._streams: dict[ChatModel, int] = {} if first is None else {first: 0}
        self._tasks: set[asyncio.Task[None]] = set()
        self._condition = _Condition()

    @property
    def chosen(self) -> bool:
        """Whether there is a model at all."""
        return self._model is not None

    @property
    def name(self) -> str:
        return self._model.name if self._model is not None else ""

    @property
    def tools(self) -> bool:
        return isinstance(self._model, ToolUser) and self._model.tools

    @property
    def cites(self) -> bool:
        return isinstance(self._model, Citer) and self._model.cites

    @property
    def writes(self) -> bool:
        return isinstance(self._model, Writer) and self._model.writes

    @property
    def pace(self) -> Pace | None:
        return self._model.pace if isinstance(self._model, Paced) else None

    @property
    def problem(self) -> str:
        """Why the chosen model cannot answer; "" while it can."""
        return self._condition.reason if self.state == "failed" else ""

    @property
    def note(self) -> str:
        """What a person should know about a model that is ready; "" if there is nothing to know."""
        return self._condition.reason if self.state == "ready" else ""

    @property
    def state(self) -> State:
        return self._condition.state

    def begin(self, path: Path) -> None:
        """Answer with this file from now on, and load it in the background. If that fails, the state says why."""
        model, condition = self._made(path)
        self._take(model, condition)
        self._own(self._load(model), f"load {model.name}")

    async def use(self, path: Path | None) -> str:
        """Load this file, then answer with it. If that fails (`ModelError`), the earlier model goes on.

        With None, no model in a file answers any more once the running answers have ended.
        """
        if path is None:
            self._take(None, _Condition())
            return "no model in a file is used any more; to keep it so after a restart: `agentd model use none`."
        model, condition = self._made(path)
        try:
            if isinstance(model, Loadable):
                await model.start()
        except BaseException:
            await _close(model)
            raise
        self._take(model, condition)
        return f"{model.name} answers from now on; to keep it after a restart: `agentd model use {path}`."

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        return self._counted(self._present(), request)

    async def context(self, limits: Limits) -> int | None:
        model = self._present()
        return await model.context(limits) if isinstance(model, Bounded) else None

    async def count_tokens(self, request: ModelRequest) -> int:
        return await self._present().count_tokens(request)

    async def warm(self, request: ModelRequest) -> int:
        model = self._present()
        return await model.warm(request) if isinstance(model, Warmable) else 0

    async def close(self) -> None:
        """Close every model that was built."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for model in list(self._streams):
            await _close(model)

    def _present(self) -> ChatModel:
        if self._model is None:
            raise ModelError(
                "No local model is chosen; `agentd model list` shows some, `agentd model use` chooses one."
            )
        return self._model

    async def _counted(self, model: ChatModel, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        self._streams[model] += 1
        try:
            async with aclosing(model.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._streams[model] -= 1
            self._retire(model)

    def _made(self, path: Path) -> tuple[ChatModel, _Condition]:
        name, condition = path.stem, _Condition()

        def told(state: State, reason: str) -> None:
            condition.state, condition.reason = state, reason
            if state == "ready" and reason:
                log.warning("model %s: %s", name, reason)
            if state == "failed" and condition is not self._condition:
                return  # `use` reports the refused choice; the model that answers may have the same name.
            self._tell(name, state, reason)

        return self._build(path, told), condition

    def _take(self, model: ChatModel | None, condition: _Condition) -> None:
        earlier, self._model, self._condition = self._model, model, condition
        if model is not None:
            self._streams.setdefault(model, 0)
        if earlier is not None:
            self._retire(earlier)

    def _retire(self, model: ChatModel) -> None:
        """Close a model that is not chosen any more as soon as its last answer has ended."""
        if model is not self._model and not self._streams.get(model, 1):
            del self._streams[model]
            self._own(_close(model), f"close {model.name}")

    async def _load(self, model: ChatModel) -> None:
        try:
            if isinstance(model, Loadable):
                await model.start()
        except ModelError as error:
            log.warning("%s cannot be used: %s", model.name, error)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _close(model: ChatModel) -> None:
    if isinstance(model, Loadable):
        await model.close()
