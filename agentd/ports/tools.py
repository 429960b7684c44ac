"""What a model may call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from agentd.records import Passage, Principal

Arguments = TypeVar("Arguments", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """For whom a tool runs, and how what it finds can be cited.

    `sources` gives the passages that the model has; `cite` gives passages the numbers by which the answer may cite
    them from now on.
    """

    principal: Principal
    session_id: str
    turn_id: str
    call_id: str
    sources: Callable[[], Sequence[Passage]]
    cite: Callable[[Sequence[Passage]], Sequence[Passage]]


class Tool(Protocol[Arguments]):
    """Something that a model may call by `name`. What `run` returns is data that nobody trusts."""

    @property
    def name(self) -> str:
        """Letters, digits and underscores."""
        ...

    @property
    def description(self) -> str:
        """What it is for and when to use it, for the model."""
        ...

    @property
    def arguments(self) -> type[Arguments]:
        """What `run` takes; the model is told of it as a JSON schema."""
        ...

    @property
    def side_effects(self) -> bool:
        """Whether a call changes or sends anything, and so must never be repeated unasked."""
        ...

    async def run(self, arguments: Arguments, context: ToolContext) -> str:
        """The result as text; an `AgentdError` is told to the model. Cancelled when its time is over."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A call may not run yet: it needs `what`, and is denied if that has not come `until` then."""

    what: str
    until: datetime


@runtime_checkable
class Hesitant(Protocol):
    """A tool whose calls wait for a decision before they run; one that is not `Hesitant` runs at once."""

    def waits(self, arguments: Any, context: ToolContext) -> Waiting | None:
        """For what this call waits; None if it may run. Asked again after a restart, never after it was approved."""
        ...
