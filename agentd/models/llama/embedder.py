"""`LlamaEmbedder`: a GGUF file as an `Embedder`, in the child process of a chat model or in its own."""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError, TimedOut
from agentd.models.llama.answer import ChildDied, Item, Opened, Vectors
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.process import Process
from agentd.models.llama.supervisor import Patience, Supervisor
from agentd.models.llama.wire import Embed, Load, OpenEmbedder
from agentd.text.characters import whole

log = logging.getLogger(__name__)

MOST_TEXTS, LONGEST_TEXT = 64, 32_768
"""Texts of one message to the child, and characters that are used of one text."""
LOAD_SECONDS, SECONDS = 300.0, 600.0
"""For loading the model, and for the vectors of one message, beside other work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefixes:
    """What is put before a query, and before a text that a query should find."""

    query: str = ""
    text: str = ""


NO_PREFIXES = Prefixes()


class LlamaEmbedder:
    """Loads on first use. Leaving `async with` (or `close`) ends its own child process.

    `beside` shares the child process of a chat model, so that the two never compete for the processor: queries are
    embedded between two steps of an answer, other texts when there is time. The prefixes are those that the model was
    trained with; they are a part of `name`, because other prefixes make other vectors.
    """

    def __init__(
        self,
        path: Path,
        *,
        beside: LlamaModel | None = None,
        threads: int | None = None,
        gpu_layers: int = 0,
        prefixes: Prefixes = NO_PREFIXES,
        patience: Patience | None = None,
    ) -> None:
        self.name = "|".join(part for part in (path.stem, prefixes.query, prefixes.text) if part)
        self._path, self._threads, self._gpu_layers = path, threads, gpu_layers
        self._prefixes = prefixes
        self._numbers = itertools.count(-1, -1)  # a chat model counts up
        self._beside = beside
        self._supervisor = Supervisor(path.stem, Load(file=None), patience=patience or Patience(), on_state=None)
        self._opened: Process | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """End its own child process; a shared one goes on."""
        await self._supervisor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `Embedder.embed`. `ModelError` if the model cannot be used; `TimedOut`."""
        prefix = self._prefixes.query if query else self._prefixes.text
        ready = [whole(prefix + text[:LONGEST_TEXT]) for text in texts]
        parts = [
            await self._some(ready[start : start + MOST_TEXTS], query=query)
            for start in range(0, len(ready), MOST_TEXTS)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    async def _some(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        """The vectors of one message; if the child dies, they are tried once more."""
        for last in (False, True):
            try:
                process = await self._child()
                message = Embed(id=next(self._numbers), texts=tuple(texts), urgent=query)
                item = await self._answered(process, message, SECONDS)
            except ChildDied as died:
                if last:
                    raise ModelError(f"{self._path.stem} crashed while it made vectors: {died}; try again.") from None
                log.warning("%s crashed while it made vectors: %s; trying once more", self._path.stem, died)
                continue
            assert isinstance(item, Vectors)
            found = np.frombuffer(base64.b64decode(item.data), "<f4").astype(np.float32)
            return found.reshape(len(texts), -1)
        raise AssertionError

    async def _child(self) -> Process:
        """A child that has the embedding model loaded."""
        async with self._opening:
            process = await (self._beside.child() if self._beside else self._supervisor.child())
            if process is not self._opened:
                path = str(self._path.absolute())
                message = OpenEmbedder(
                    id=next(self._numbers), path=path, threads=self._threads, gpu_layers=self._gpu_layers
                )
                item = await self._answered(process, message, LOAD_SECONDS)
                assert isinstance(item, Opened)
                self._opened = process
            return process

    async def _answered(self, process: Process, message: OpenEmbedder | Embed, seconds: float) -> Item:
        answer = process.ask(message)
        try:
            return await answer.next(seconds)
        except TimeoutError:
            raise TimedOut(f"{self._path.stem} did not answer within {seconds:g} s; try again.") from None
        finally:
            process.leave(answer)
