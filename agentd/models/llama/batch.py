"""A `llama_batch` over arrays of our own, filled without work for each token."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from agentd.models.llama.job import Span
from agentd.models.llama.native import native


class Batch:
    """At most `capacity` tokens; `native` is what llama.cpp is given."""

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
        """For each span the place in the batch of the last of its tokens that is not guessed, for its sampler."""
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
            first = end - 1 - span.guessed
            self._wanted[first:end] = span.last
            self.outputs.append(first)
            at = end
        self.native.n_tokens = at
