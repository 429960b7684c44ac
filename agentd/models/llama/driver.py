"""Wraps llama.cpp's calls for a chat model: load, decode, sample, and the sequences of the key-value cache.

One thread owns a driver. Some requests make llama.cpp `abort()` and must not be made: a batch larger than `BATCH`, an
output that was not asked for, a partial copy in a cache that is not unified.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama.batch import Batch
from agentd.models.llama.job import Span
from agentd.models.llama.native import begin, model_parameters, native, reason, use_way
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.scheduler import BATCH
from agentd.models.llama.vocabulary import Vocabulary
from agentd.models.llama.ways import WAYS, Way

log = logging.getLogger(__name__)


class Driver:
    """A loaded model with its context; `ModelError` if it cannot be loaded."""

    def __init__(
        self, path: Path, *, context: int, threads: int, gpu_layers: int, sequences: int, way: Way = WAYS[0]
    ) -> None:
        begin()
        self._way = way
        parameters = model_parameters(way, gpu_layers)
        self._model: Any = native.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path}: {reason()}.")
        if not native.llama_model_has_decoder(self._model) or native.llama_model_has_encoder(self._model):
            raise ModelError(f"{path} is not a model that generates text alone; choose a chat model.")
        self.trained_context: int = native.llama_model_n_ctx_train(self._model)
        self.context = min(context, self.trained_context)
        self.whole_only = bool(
            native.llama_model_is_recurrent(self._model) or native.llama_model_is_hybrid(self._model)
        )
        """A sequence of the cache can only be kept, copied or dropped as a whole."""
        self._context: Any = native.llama_init_from_model(self._model, self._settings(threads, sequences))
        if not self._context:
            raise ModelError(
                f"llama.cpp cannot make a context of {self.context} tokens for {path}: {reason()};"
                " choose a smaller context."
            )
        self._memory: Any = native.llama_get_memory(self._context)
        self.vocabulary = Vocabulary(self._model)
        self._batch = Batch(BATCH)
        self._warm_up()

    def _settings(self, threads: int, sequences: int) -> Any:
        settings = native.llama_context_default_params()
        settings.n_ctx = -(-self.context // 256) * 256
        settings.n_batch = settings.n_ubatch = BATCH
        settings.n_seq_max = sequences
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = threads
        use_way(settings, self._way)
        return settings

    def _warm_up(self) -> None:
        """One token, so that the first question does not pay for reading the weights from disk."""
        if self.decode([Span(slot=0, start=0, tokens=[0], last=True)]) != "done":
            raise ModelError(f"llama.cpp cannot run the model: {reason()}; choose another model.")
        self.clear(0)

    def decode(self, spans: Sequence[Span]) -> Literal["done", "full", "failed"]:
        """Run one batch; "full" and "failed" leave the cache as it was. Exits if llama.cpp cannot go on at all."""
        self._batch.fill(spans)
        code: int = native.llama_decode(self._context, self._batch.native)
        if code == 0:
            native.llama_synchronize(self._context)
            return "done"
        if code == 1:
            return "full"
        if code == -1:
            log.error("llama.cpp refused a batch: %s", reason())
            return "failed"
        raise SystemExit(f"llama_decode failed with {code}, after which it cannot be used: {reason()}")

    def sample(self, sampler: Sampler, span: int, ahead: int = 0) -> int | None:
        """Sample and accept the token after the `span`-th span of the decoded batch, which must have asked for it.

        `ahead` counts from before the guesses of the span: 0 is the token at the position of the first guess. None if
        the sampler's grammar allows no token.
        """
        return sampler.sample(self._context, self._batch.outputs[span] + ahead)

    def logits(self, span: int, ahead: int = 0) -> NDArray[np.float32]:
        """The logits that `sample` uses; they change with the next batch."""
        found = native.llama_get_logits_ith(self._context, self._batch.outputs[span] + ahead)
        return np.ctypeslib.as_array(found, (self.vocabulary.size,))

    def facts(self) -> tuple[int, int, int]:
        """The tokens, sequences and threads that the context really has."""
        context = self._context
        return (
            int(native.llama_n_ctx(context)),
            int(native.llama_n_seq_max(context)),
            int(native.llama_n_threads(context)),
        )

    def keep(self, sequence: int, length: int) -> bool:
        """Drop a sequence from position `length` on. False, and nothing changes, if this model's cache cannot."""
        return bool(native.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self, sequence: int) -> None:
        native.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence share the first `length` tokens of another one; this costs nothing."""
        native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def state_size(self, sequence: int) -> int:
        """The size of `state` in bytes."""
        return int(native.llama_state_seq_get_size(self._context, sequence))

    def state(self, sequence: int) -> NDArray[np.uint8]:
        """Everything that llama.cpp keeps of a sequence."""
        state = np.empty(self.state_size(sequence), np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        size: int = native.llama_state_seq_get_data(self._context, pointer, state.nbytes, sequence)
        return state[:size]

    def restore(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Restore a state into an empty sequence. False if that failed; then the sequence may hold anything."""
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return bool(native.llama_state_seq_set_data(self._context, pointer, state.nbytes, sequence))
