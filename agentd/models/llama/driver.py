"""llama.cpp's calls, and nothing else knows them: load, decode, sample, and the sequences of the key-value cache.

One thread owns a driver. What llama.cpp answers with `abort()` must not be asked: a batch larger than `BATCH`, an
output that was not wanted, a partial copy in a cache that is not unified.
"""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agentd.errors import ModelError
from agentd.models.llama.scheduler import BATCH, Span
from agentd.models.llama.vocabulary import Vocabulary, native
from agentd.models.llama.wire import Choice

log = logging.getLogger(__name__)

REPEAT_WINDOW = 64
"""How many of the newest tokens the repeat penalty looks at."""

_LEVELS = {3: logging.WARNING, 4: logging.ERROR}
_last_words: deque[str] = deque(maxlen=8)
"""llama.cpp's newest errors: its calls themselves only say that they failed."""


def _on_log(level: int, text: bytes, _: Any) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level in _LEVELS and line:
        log.log(_LEVELS[level], "llama.cpp: %s", line)
    if level == 4 and line:
        _last_words.append(line)


_log_callback = native.llama_log_callback(_on_log)


class Sampler:
    """How one request chooses its tokens; free it when the request ends."""

    def __init__(self, choice: Choice, *, vocabulary: int, before: Sequence[int]) -> None:
        self.chain: Any = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        if choice.repeat_penalty != 1.0:
            self._add(native.llama_sampler_init_penalties(vocabulary, REPEAT_WINDOW, choice.repeat_penalty, 0.0, 0.0))
        if choice.temperature <= 0:
            self._add(native.llama_sampler_init_greedy())
        else:
            self._add(native.llama_sampler_init_top_k(choice.top_k))
            self._add(native.llama_sampler_init_top_p(choice.top_p, 1))
            self._add(native.llama_sampler_init_min_p(choice.min_p, 1))
            self._add(native.llama_sampler_init_temp(choice.temperature))
            self._add(native.llama_sampler_init_dist(choice.seed))
        for token in before[-REPEAT_WINDOW:]:
            native.llama_sampler_accept(self.chain, token)

    def _add(self, sampler: Any) -> None:
        if not sampler:
            raise RuntimeError("llama.cpp made no sampler")
        native.llama_sampler_chain_add(self.chain, sampler)

    def free(self) -> None:
        native.llama_sampler_free(self.chain)


class Driver:
    """A loaded model with its context; `ModelError` where it cannot be loaded."""

    def __init__(self, path: Path, *, context: int, threads: int, gpu_layers: int, sequences: int) -> None:
        native.llama_log_set(_log_callback, None)
        native.llama_backend_init()
        parameters = native.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        self._model: Any = native.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path}: {_reason()}.")
        if not native.llama_model_has_decoder(self._model) or native.llama_model_has_encoder(self._model):
            raise ModelError(f"{path} is not a model that generates text alone; choose a chat model.")
        self.trained_context: int = native.llama_model_n_ctx_train(self._model)
        self.context = min(context, self.trained_context)
        self.whole_only = bool(
            native.llama_model_is_recurrent(self._model) or native.llama_model_is_hybrid(self._model)
        )
        """The cache of a sequence can only be kept, copied or dropped as a whole."""
        self._context: Any = native.llama_init_from_model(self._model, self._settings(threads, sequences))
        if not self._context:
            raise ModelError(
                f"llama.cpp cannot make a context of {self.context} tokens for {path}: {_reason()};"
                " choose a smaller context."
            )
        self._memory: Any = native.llama_get_memory(self._context)
        self.vocabulary = Vocabulary(self._model)
        self._batch = _Batch(BATCH)
        self._warm_up()

    def _settings(self, threads: int, sequences: int) -> Any:
        settings = native.llama_context_default_params()
        settings.n_ctx = -(-self.context // 256) * 256
        settings.n_batch = settings.n_ubatch = BATCH
        settings.n_seq_max = sequences
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = threads
        return settings

    def _warm_up(self) -> None:
        """One token, so that the first question does not pay for reading the weights from disk."""
        if self.decode([Span(slot=0, start=0, tokens=[0], last=True)]) != "done":
            raise ModelError(f"llama.cpp cannot run the model: {_reason()}; choose another model.")
        self.clear(0)

    def decode(self, spans: Sequence[Span]) -> Literal["done", "full", "failed"]:
        """Run one batch; "full" and "failed" leave the cache as it was. Exits where llama.cpp gave up for good."""
        self._batch.fill(spans)
        code: int = native.llama_decode(self._context, self._batch.native)
        if code == 0:
            native.llama_synchronize(self._context)
            return "done"
        if code == 1:
            return "full"
        if code == -1:
            log.error("llama.cpp refused a batch: %s", _reason())
            return "failed"
        raise SystemExit(f"llama_decode failed for good with {code}: {_reason()}")

    def sample(self, sampler: Sampler, span: int) -> int:
        """The next token behind the `span`-th span of the batch that was decoded, which wanted it; accepted too."""
        return int(native.llama_sampler_sample(sampler.chain, self._context, self._batch.outputs[span]))

    def keep(self, sequence: int, length: int) -> bool:
        """Forget a sequence from position `length` on; False, and nothing done, where this model's cache cannot."""
        return bool(native.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self, sequence: int) -> None:
        native.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with the first `length` tokens of another; shares them, costs nothing."""
        native.llama_memory_seq_cp(self._memory, source, target, 0, length)


def _reason() -> str:
    """The first of llama.cpp's errors since it was last asked: the later ones only repeat that something failed."""
    reason = _last_words[0] if _last_words else "it gives no reason"
    _last_words.clear()
    return reason.removesuffix(".")


class _Batch:
    """A `llama_batch` over arrays of our own, filled without work for each token."""

    def __init__(self, capacity: int) -> None:
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._counts = np.ones(capacity, np.int32)
        self._sequences = np.zeros(capacity, np.int32)
        self._wanted = np.zeros(capacity, np.int8)
        int32 = ctypes.POINTER(ctypes.c_int32)
        first = self._sequences.ctypes.data
        self._rows = (int32 * capacity)(*(ctypes.cast(first + 4 * i, int32) for i in range(capacity)))
        self.outputs: list[int] = []
        """For each span the place of its last token in the batch, which is what a sampler is given."""
        self.native: Any = native.llama_batch(
            0,
            self._tokens.ctypes.data_as(int32),
            None,
            self._positions.ctypes.data_as(int32),
            self._counts.ctypes.data_as(int32),
            self._rows,
            self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, spans: Sequence[Span]) -> None:
        self._wanted[:] = 0
        self.outputs = []
        at = 0
        for span in spans:
            end = at + len(span.tokens)
            self._tokens[at:end] = span.tokens
            self._positions[at:end] = range(span.start, span.start + len(span.tokens))
            self._sequences[at:end] = span.slot
            self._wanted[end - 1] = span.last
            self.outputs.append(end - 1)
            at = end
        self.native.n_tokens = at
