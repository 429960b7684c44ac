"""Several models in an order of preference: if one cannot answer, the next one does, and everybody is told."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from agentd.errors import AgentdError, Busy, ModelError, ModelUnavailable, PromptTooLong, TimedOut, UsageError
from agentd.models.choice import ChosenModel, State, Tell
from agentd.ports.generation import (
    Delta,
    HandedOver,
    Limits,
    ModelRequest,
    Notice,
    ReasoningDelta,
    Restarted,
    TextDelta,
    ToolCallDelta,
)
from agentd.ports.models import (
    Bounded,
    ChatModel,
    Citer,
    Closable,
    Pace,
    Paced,
    StandIn,
    ToolUser,
    Warmable,
    Writer,
    answering,
)

log = logging.getLogger(__name__)

REST = 30.0
"""For so many seconds, a model that was unavailable is asked after all others."""
LOCAL = "local"
"""The role of the model whose file can be chosen while the daemon runs."""
NO_MODEL = "No model is chosen: `agentd model list` shows some, `agentd model use NAME` chooses one."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rest:
    until: float
    reason: str


class FailoverModel:
    """Implements `ports.ModelChoice`, and `ports.ChatModel` with `models` by role, which are asked in their order.

    `local` is the model whose file can be chosen. If that is done while the daemon runs, it is asked before all others.
    Each change of model is a `HandedOver`, after a `Restarted` if the earlier model had begun to answer. If a prompt is
    too long for a model (`PromptTooLong`), the request is not handed over: the caller may make a shorter prompt, and
    the user should learn that the question has to change, not the model.
    """

    def __init__(
        self,
        models: Mapping[str, ChatModel],
        local: ChosenModel,
        tell: Tell,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = dict(models)
        self._local = local
        self._tell = tell
        self._clock = clock
        self._resting: dict[str, _Rest] = {}

    # --- what a person sees ---

    @property
    def name(self) -> str:
        """The preferred model, even while another one answers in its place."""
        return self._models[roles[0]].name if (roles := self._roles()) else "none"

    @property
    def problem(self) -> str:
        """Why the preferred model, or the local one, cannot answer; "" while they can."""
        if not (roles := self._roles()):
            return NO_MODEL
        if (rest := self._resting.get(roles[0])) is not None:
            return rest.reason
        return self._local.problem if LOCAL in roles else ""

    @property
    def note(self) -> str:
        """What a person should know about the local model while it is the preferred one and ready."""
        return self._local.note if not self.problem and self._roles()[0] == LOCAL else ""

    @property
    def state(self) -> State:
        return "failed" if self.problem else self._local.state if self._roles()[0] == LOCAL else "ready"

    # --- ports ---

    @property
    def tools(self) -> bool:
        model = self._first()
        return isinstance(model, ToolUser) and model.tools

    @property
    def cites(self) -> bool:
        model = self._first()
        return isinstance(model, Citer) and model.cites

    @property
    def writes(self) -> bool:
        model = self._first()
        return isinstance(model, Writer) and model.writes

    @property
    def pace(self) -> Pace | None:
        """The pace of the model that would be asked now."""
        model = self._first()
        return model.pace if isinstance(model, Paced) else None

    def begin(self, path: Path) -> None:
        """Load this file in the background, as the local model."""
        self._local.begin(path)

    async def use(self, path: Path | None) -> str:
        """See `ports.ModelChoice`. `UsageError` for None if no other model could answer."""
        others = {role: model for role, model in self._models.items() if role != LOCAL}
        if path is None and not others:
            raise UsageError("model.order names `local` alone, so nothing could answer without a language model.")
        said = await self._local.use(path)
        self._models = {LOCAL: self._local, **others}
        self._resting.pop(LOCAL, None)
        return said if path is not None else f"{answering(self.name)} from now on; {said}"

    async def context(self, limits: Limits) -> int | None:
        """The context of the model that will be asked first. A model that does not load in time rests for a while."""
        failure: AgentdError = ModelError(NO_MODEL)
        for role in self._order():
            model = self._models[role]
            try:
                return await model.context(limits) if isinstance(model, Bounded) else None
            except TimedOut as error:
                self._rest(role, error)
                failure = error
            except (ModelError, Busy) as error:
                failure = error
        raise failure

    async def count_tokens(self, request: ModelRequest) -> int:
        """As the model that would be asked first counts them, or the next one that can count."""
        failure: AgentdError = ModelError(NO_MODEL)
        for role in self._order():
            try:
                return await self._models[role].count_tokens(request)
            except (ModelError, TimedOut, Busy) as error:
                failure = error
        raise failure

    async def warm(self, request: ModelRequest) -> int:
        """Warm the model that would be asked now; 0 if it cannot read ahead."""
        model = self._first()
        return await model.warm(_for(model, request)) if isinstance(model, Warmable) else 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """See `ChatModel.stream`. If no model can answer, the error gives the reason of each."""
        failures: list[tuple[str, AgentdError]] = []
        order = self._order()
        for role in order:
            model = self._asked(role)
            if failures:
                yield HandedOver(model=model.name, reason=str(failures[-1][1]))
            elif role != (preferred := self._roles()[0]):
                yield HandedOver(model=model.name, reason=self._resting[preferred].reason)
            begun = False
            try:
                if failures:
                    await _check_room(model, request)
                async with aclosing(model.stream(_for(model, request))) as deltas:
                    async for delta in deltas:
                        if isinstance(delta, TextDelta | Notice | ReasoningDelta | ToolCallDelta):
                            begun = True
                            self._well(role)
                        yield delta
                return
            except PromptTooLong:
                raise
            except (ModelError, TimedOut, Busy) as error:
                log.warning("%s cannot answer: %s", model.name, error)
                failures.append((model.name, error))
                self._failed(role, error)
            if begun and role != order[-1]:
                yield Restarted(reason=str(failures[-1][1]))
        raise _combined(failures)

    async def close(self) -> None:
        """Close every model that holds something."""
        for model in {self._local, *self._models.values()}:
            if isinstance(model, Closable):
                await model.close()

    # --- which model is asked ---

    def _roles(self) -> list[str]:
        """The roles that have a model, in order of preference."""
        return [role for role, model in self._models.items() if model is not self._local or self._local.chosen]

    def _first(self) -> ChatModel | None:
        """The model that would be asked now."""
        return self._models[order[0]] if (order := self._order()) else None

    def _order(self) -> list[str]:
        """The roles in the order in which they are asked: those that rest come last."""
        now = self._clock()
        return sorted(self._roles(), key=lambda role: role in self._resting and self._resting[role].until > now)

    def _asked(self, role: str) -> ChatModel:
        model = self._models[role]
        return model.standing_in() if isinstance(model, StandIn) and role != self._roles()[0] else model

    def _failed(self, role: str, error: AgentdError) -> None:
        # The local model handles its own crash loops, and if it was still loading, the next request may find it loaded.
        if isinstance(error, ModelUnavailable) or (isinstance(error, TimedOut) and role != LOCAL):
            self._rest(role, error)

    def _rest(self, role: str, error: AgentdError) -> None:
        self._resting[role] = _Rest(until=self._clock() + REST, reason=str(error))
        self._tell(self._models[role].name, "failed", str(error))

    def _well(self, role: str) -> None:
        if self._resting.pop(role, None) is not None:
            self._tell(self._models[role].name, "ready", "")


async def _check_room(model: ChatModel, request: ModelRequest) -> None:
    """`PromptTooLong` if a prompt that was made for another model does not fit into the context of this one."""
    context = await model.context(request.limits) if isinstance(model, Bounded) else None
    if context is not None and (tokens := await model.count_tokens(request)) >= context:
        raise PromptTooLong(
            f"The prompt has {tokens} tokens, but {model.name} has a context of {context} for it and the answer.",
            context=context,
        )


def _for(model: ChatModel, request: ModelRequest) -> ModelRequest:
    """The request without its tools if the model cannot call any; those of the caller stay."""
    usable = request.handed_back or (isinstance(model, ToolUser) and model.tools)
    return request if usable or not request.tools else replace(request, tools=())


def _combined(failures: list[tuple[str, AgentdError]]) -> AgentdError:
    if not failures:
        return ModelError(NO_MODEL)
    if len(failures) == 1:
        return failures[0][1]
    told = "; ".join(f"{name}: {error}" for name, error in failures)
    return ModelError(f"No model could answer. {told}")
