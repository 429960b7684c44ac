"""Texts in, vectors out, one batch at a time, so that running answers hardly wait for them."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama import files, machine, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.embedding import BATCH, TEXTS, Embedding
from agentd.models.llama.memory import Memory
from agentd.models.llama.ways import allowed
from agentd.models.llama.wire import Embed, Embedded, FromChild, OpenedEmbedder, OpenEmbedder, Refused

LAG = 4
"""While answers are generated, work that is not urgent gets one of so many steps."""


@dataclass(slots=True)
class _Request:
    id: int
    urgent: bool
    texts: Sequence[Sequence[int]]
    vectors: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def done(self) -> int:
        return sum(map(len, self.vectors))


class Embeddings:
    """Feed it messages, and call `step` while it is `busy`; it passes its own messages to `send`."""

    def __init__(
        self,
        send: Callable[[FromChild], None],
        checks: Checks | None = None,
        memory: Memory | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        """`fresh` says that nothing was computed in this process yet, so that a copy of it can use several threads."""
        self._send = send
        self._checks = checks or Checks(None)
        self._memory = memory
        self._threads = () if fresh else (1,)
        self._embedding: Embedding | None = None
        self._path = ""
        self._urgent: deque[_Request] = deque()
        self._others: deque[_Request] = deque()
        self._steps = 0

    @property
    def busy(self) -> bool:
        return bool(self._urgent or self._others)

    def open(self, message: OpenEmbedder) -> None:
        """Load the model, once."""
        try:
            if message.path != self._path:
                self._embedding = self._load(message)
                self._path = message.path
        except ModelError as error:
            self._send(Refused(id=message.id, reason=str(error)))
            return
        assert self._embedding is not None
        self._send(OpenedEmbedder(id=message.id, dimension=self._embedding.dimension))

    def _load(self, message: OpenEmbedder) -> Embedding:
        path = Path(message.path)
        gguf = files.inspect(path, chat=False)
        if message.gpu_layers == 0:
            files.check_memory(gguf, context=0, available=machine.available_memory())
        if self._memory is not None:
            self._memory.allow(gguf, context=0, gpu=message.gpu_layers != 0)
        threads = machine.free_threads() if message.threads is None else message.threads
        ways = allowed(gpu=message.gpu_layers != 0)
        way = verdict.find(self._checks, gguf.types, ways, threads=self._threads).way
        assert way is not None
        return Embedding(path, threads=threads, gpu_layers=message.gpu_layers, way=way)

    def embed(self, message: Embed) -> None:
        if self._embedding is None:
            self._send(Refused(id=message.id, reason="No embedding model is loaded; ask again."))
            return
        texts = [self._embedding.tokenize(text) for text in message.texts]
        request = _Request(id=message.id, urgent=message.urgent, texts=texts)
        (self._urgent if message.urgent else self._others).append(request)

    def cancel(self, number: int) -> None:
        for waiting in (self._urgent, self._others):
            for request in [request for request in waiting if request.id == number]:
                waiting.remove(request)

    def step(self, *, beside: bool) -> None:
        """Compute one batch of the oldest request; `beside` says that answers are being generated too."""
        self._steps += 1
        if not self._urgent and (not self._others or (beside and self._steps % LAG)):
            return
        waiting = self._urgent or self._others
        request = waiting[0]
        assert self._embedding is not None
        try:
            if request.done < len(request.texts):
                request.vectors.append(self._embedding.vectors(batch(request.texts[request.done :])))
        except ModelError as error:
            waiting.popleft()
            self._send(Refused(id=request.id, reason=str(error)))
            return
        if request.done == len(request.texts):
            waiting.popleft()
            self._send(Embedded(id=request.id, vectors=_packed(request.vectors)))


def batch(texts: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """The first texts: as many as fit into one batch, and at least one."""
    count = size = 0
    for text in texts[:TEXTS]:
        size += len(text)
        if size > BATCH:
            break
        count += 1
    return texts[: max(1, count)]


def _packed(vectors: Sequence[NDArray[np.float32]]) -> str:
    data = b"".join(part.astype("<f4").tobytes() for part in vectors)
    return base64.b64encode(data).decode()
