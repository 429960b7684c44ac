"""What a model is and what some models can do besides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from agentd.ports.generation import Delta, Limits, ModelRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


EXTRACTIVE = "extractive"
"""The name of the model that has no weights; only settings and programs know it by that name."""


def answering(model: str) -> str:
    """That this model answers, in words for a person."""
    return "sentences of your documents answer" if model == EXTRACTIVE else f"{model} answers"


class ChatModel(Protocol):
    @property
    def name(self) -> str: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Generate; ends with `Finish`, raises `ModelError`. Closing the iterator cancels."""
        ...

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of the rendered prompt."""
        ...


@runtime_checkable
class ToolUser(Protocol):
    """A model that may be offered tools; one that is no `ToolUser` never is."""

    @property
    def tools(self) -> bool:
        """Whether it can call them at the moment."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A model with a context of its own. The settings' context counts for a model that is not `Bounded`, or does not
    know it."""

    async def context(self, limits: Limits) -> int | None:
        """Tokens that a prompt and its answer may have together; None if that is not known.

        Waits until the model is loaded, after which `tools` is certain too; raises like `ChatModel.stream`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a model reads a prompt and writes an answer here, in tokens per second; 0 if that is not known."""

    read: float
    write: float


class Standing(Protocol):
    """The model that is preferred, as a person sees it; `problem` says why it cannot answer, `note` what to know."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def problem(self) -> str: ...

    @property
    def note(self) -> str: ...


@runtime_checkable
class Paced(Protocol):
    """A model that knows how fast it is on this machine."""

    @property
    def pace(self) -> Pace | None:
        """None as long as nothing was measured."""
        ...


@runtime_checkable
class Warmable(Protocol):
    """A model that can read ahead what its prompts begin with."""

    async def warm(self, request: ModelRequest) -> int:
        """Read, while nothing else is to do, what every prompt begins with that has these messages and tools first.

        Waits until that is done, at most for the limit of a turn. Returns how many tokens are in the cache then, 0 if
        it cannot, or is closed meanwhile.
        Raises like `ChatModel.stream`. To be called again when the model was loaded anew.
        """
        ...


@runtime_checkable
class Citer(Protocol):
    """A model that may be told how to cite; one that is not a `Citer` is told nothing, and agentd cites for it."""

    @property
    def cites(self) -> bool:
        """Whether it was seen to put the numbers of passages behind what it takes from them."""
        ...


@runtime_checkable
class Writer(Protocol):
    """A model that writes what it is told to, such as a summary; a model that is not a `Writer` only answers
    questions."""

    @property
    def writes(self) -> bool: ...


@runtime_checkable
class StandIn(Protocol):
    """A model that answers in other words if another model was to answer and cannot."""

    def standing_in(self) -> ChatModel:
        """The model to ask then."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A model that holds something, a connection for example."""

    async def close(self) -> None: ...


@runtime_checkable
class Loadable(Closable, Protocol):
    """A model that holds memory and processes: it is loaded, and closed when it answers no more."""

    async def start(self) -> int: ...


class Embedder(Protocol):
    """Makes vectors of texts; texts that mean the same have vectors near each other."""

    @property
    def name(self) -> str:
        """Embedders with different vectors have different names."""
        ...

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """(texts, dimension), each of length 1. A `query` looks for texts, and somebody waits for it."""
        ...


class ModelChoice(Protocol):
    """A model can be chosen while the daemon runs."""

    async def use(self, path: Path | None) -> str:
        """Answer with the model in this GGUF file from now on, with None without one in a file; what a person is told.

        `ModelError` if it cannot, and then nothing has changed.
        """
        ...
