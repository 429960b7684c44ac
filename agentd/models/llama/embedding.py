"""Wraps llama.cpp's calls for an embedding model: tokens to vectors, several texts in one batch.

One thread owns it. It has its own context, so the cache of a chat model is not touched.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama.batch import Batch
from agentd.models.llama.job import Span
from agentd.models.llama.native import begin, model_parameters, native, reason, use_way
from agentd.models.llama.ways import WAYS, Way

BATCH = 512
"""Tokens of a batch at most, and so of a text, because such models read a text in one batch."""
TEXTS = 64
"""Texts of a batch at most."""
_POOLING_NONE, _POOLING_MEAN = 0, 1
_NOTHING = 1e-12
"""A shorter vector has no direction, so it is not scaled to length 1."""


class Embedding:
    """A loaded embedding model; `ModelError` if the file cannot be loaded or makes no vectors."""

    def __init__(self, path: Path, *, threads: int, gpu_layers: int = 0, way: Way = WAYS[0]) -> None:
        begin()
        self._way = way
        parameters = model_parameters(way, gpu_layers)
        self._model: Any = native.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path}: {reason()}.")
        self._vocabulary: Any = native.llama_model_get_vocab(self._model)
        self.dimension: int = native.llama_model_n_embd_out(self._model)
        self.longest = min(BATCH, native.llama_model_n_ctx_train(self._model))
        """Tokens that are used of a text; the rest is cut off."""
        self._encodes = native.llama_model_has_encoder(self._model) and not native.llama_model_has_decoder(self._model)
        self._context = self._open(path, threads, None)
        if native.llama_pooling_type(self._context) == _POOLING_NONE:
            native.llama_free(self._context)
            self._context = self._open(path, threads, _POOLING_MEAN)
        self._batch = Batch(BATCH)

    def _open(self, path: Path, threads: int, pooling: int | None) -> Any:
        settings = native.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = BATCH
        settings.n_seq_max = TEXTS
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = threads
        use_way(settings, self._way)
        settings.embeddings = True
        if pooling is not None:
            settings.pooling_type = pooling
        context: Any = native.llama_init_from_model(self._model, settings)
        if not context:
            raise ModelError(f"llama.cpp cannot make vectors with {path}: {reason()}; choose an embedding model.")
        return context

    def tokenize(self, text: str) -> list[int]:
        """At least one token, at most `longest`; control tokens that are written in the text stay text."""
        data = text.encode("utf-8", "replace")[: self.longest * 64]
        room = len(data) + 8
        tokens = (ctypes.c_int32 * room)()
        count: int = native.llama_tokenize(self._vocabulary, data, len(data), tokens, room, True, False)
        found: list[int] = tokens[: max(0, count)]
        if len(found) > self.longest:
            found = [*found[: self.longest - 1], found[-1]]
        return found or [0]

    def vectors(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(texts, dimension), each of length 1; at most `TEXTS` texts and `BATCH` tokens."""
        spans = [
            Span(slot=i, start=0, tokens=tokens, last=True, guessed=len(tokens) - 1) for i, tokens in enumerate(texts)
        ]
        self._batch.fill(spans)
        memory = native.llama_get_memory(self._context)
        if memory:
            native.llama_memory_clear(memory, True)
        run = native.llama_encode if self._encodes else native.llama_decode
        if code := run(self._context, self._batch.native):
            raise ModelError(f"llama.cpp cannot make vectors of these texts ({code}: {reason()}).")
        native.llama_synchronize(self._context)
        return np.array([self._vector(i) for i in range(len(texts))], np.float32)

    def _vector(self, text: int) -> NDArray[np.float32]:
        found = np.ctypeslib.as_array(native.llama_get_embeddings_seq(self._context, text), (self.dimension,))
        length = max(float(np.linalg.norm(found)), _NOTHING)
        return (found / length).astype(np.float32)
