"""A `llama_batch` over our own arrays, filled a span at a time instead of token by token."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from agentd.models.llama.job import Span
from agentd.models.llama.native import native


class Batch:
    """Holds at most `capacity` tokens; `native` is the struct for llama.cpp."""

    def __init__(self, capacity: int) -> None:
        numbers: Any = ctypes.c_int32 * capacity
        self._tokens, self._positions, self._sequences = numbers(), numbers(), numbers()
        self._counts = numbers(*[1] * capacity)
        self._wanted: Any = (ctypes.c_int8 * capacity)()
        number = ctypes.POINTER(ctypes.c_int32)
        first = ctypes.addressof(self._sequences)
        self._rows = (number * capacity)(*(ctypes.cast(first + 4 * i, number) for i in range(capacity)))
        self.outputs: list[int] = []
        """For each span, the index in the batch of its last token that is not a guess; its sampler needs that."""
        self.native: Any = native.llama_batch(
            0,
            ctypes.cast(self._tokens, number),
            None,
            ctypes.cast(self._positions, number),
            ctypes.cast(self._counts, number),
            self._rows,
            ctypes.cast(self._wanted, ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, spans: Sequence[Span]) -> None:
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        wanted: list[int] = []
        self.outputs = []
        for span in spans:
            count, before = len(span.tokens), len(span.tokens) - 1 - span.guessed
            self.outputs.append(len(tokens) + before)
            tokens += span.tokens
            positions += range(span.start, span.start + count)
            sequences += [span.slot] * count
            wanted += [0] * before + [int(span.last)] * (count - before)
        size = len(tokens)
        self._tokens[:size] = tokens
        self._positions[:size] = positions
        self._sequences[:size] = sequences
        self._wanted[:size] = wanted
        self.native.n_tokens = size
