"""Chooses the tokens of one request, through llama.cpp's samplers; with a grammar, by rejection.

A token is first chosen without the grammar and then checked, which takes microseconds. Only if the check fails is the
grammar applied before the choice, which takes milliseconds with a large vocabulary. llama.cpp's own
`common/sampling.cpp` does the same.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama.native import native
from agentd.models.llama.vocabulary import Vocabulary
from agentd.models.llama.wire import Choice

REPEAT_WINDOW = 64
"""The newest tokens that count for the repeat penalty."""
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """A `llama_token_data_array` over our own array."""

    def __init__(self, ids: NDArray[np.int32], logits: NDArray[np.float32] | None = None) -> None:
        self._data = np.zeros(len(ids), _CANDIDATE)
        self._data["id"] = ids
        if logits is not None:
            self._data["logit"] = logits
        pointer = self._data.ctypes.data_as(native.llama_token_data_p)
        self._array = native.llama_token_data_array(data=pointer, size=len(ids), selected=-1, sorted=False)

    def pass_through(self, sampler: Any) -> None:
        native.llama_sampler_apply(sampler, ctypes.byref(self._array))

    @property
    def any_left(self) -> bool:
        return bool(np.isfinite(self._data["logit"][: self._array.size]).any())

    def selected(self) -> int | None:
        """The token that was chosen; None if every candidate was excluded."""
        chosen = self._array.data[self._array.selected]
        return int(chosen.id) if math.isfinite(chosen.logit) else None


class Grammar:
    """Says which tokens may follow; `ModelError` if llama.cpp does not accept the grammar."""

    def __init__(self, source: bytes, vocabulary: Vocabulary) -> None:
        self._ids = np.arange(vocabulary.size, dtype=np.int32)
        self.sampler: Any = native.llama_sampler_init_grammar(vocabulary.handle, source, b"root")
        if not self.sampler:
            raise ModelError(
                "The schema cannot be used: llama.cpp does not accept the grammar made from it; simplify the schema."
            )

    def allows(self, token: int) -> bool:
        one = Candidates(self._ids[token : token + 1])
        one.pass_through(self.sampler)
        return one.any_left

    def any_allowed(self) -> bool:
        every = Candidates(self._ids)
        every.pass_through(self.sampler)
        return every.any_left

    def free(self) -> None:
        native.llama_sampler_free(self.sampler)


class Sampler:
    """Must be freed when the request ends. A `grammar` counts only after `constrain`."""

    def __init__(
        self, choice: Choice, *, vocabulary: Vocabulary, before: Sequence[int], grammar: bytes | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._grammar = None if grammar is None else Grammar(grammar, vocabulary)
        self._constrained = False
        self._chain: Any = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        if choice.repeat_penalty != 1.0:
            size = vocabulary.size
            self._add(native.llama_sampler_init_penalties(size, REPEAT_WINDOW, choice.repeat_penalty, 0.0, 0.0))
        if choice.temperature <= 0:
            self._add(native.llama_sampler_init_greedy())
        else:
            self._add(native.llama_sampler_init_top_k(choice.top_k))
            self._add(native.llama_sampler_init_top_p(choice.top_p, 1))
            self._add(native.llama_sampler_init_min_p(choice.min_p, 1))
            self._add(native.llama_sampler_init_temp(choice.temperature))
            self._add(native.llama_sampler_init_dist(choice.seed))
        for token in before[-REPEAT_WINDOW:]:
            native.llama_sampler_accept(self._chain, token)

    def _add(self, sampler: Any) -> None:
        if not sampler:
            raise RuntimeError("llama.cpp made no sampler")
        native.llama_sampler_chain_add(self._chain, sampler)

    def constrain(self) -> None:
        """Apply the grammar from the next token on; harmless if there is none."""
        self._constrained = self._grammar is not None

    def sample(self, context: Any, index: int) -> int | None:
        """The token that follows the one at `index` of the last batch; None if the grammar allows no token."""
        if not self._constrained or self._grammar is None:
            return int(native.llama_sampler_sample(self._chain, context, index))
        token = self._choose(context, index, None)
        if token is None or not self._grammar.allows(token):
            token = self._choose(context, index, self._grammar)
        if token is not None:
            native.llama_sampler_accept(self._chain, token)
            native.llama_sampler_accept(self._grammar.sampler, token)
        return token

    def _choose(self, context: Any, index: int, grammar: Grammar | None) -> int | None:
        size = self._vocabulary.size
        logits = np.ctypeslib.as_array(native.llama_get_logits_ith(context, index), (size,))
        candidates = Candidates(np.arange(size, dtype=np.int32), logits)
        if grammar is not None:
            candidates.pass_through(grammar.sampler)
            if not candidates.any_left:
                return None
        candidates.pass_through(self._chain)
        return candidates.selected()

    def free(self) -> None:
        native.llama_sampler_free(self._chain)
        if self._grammar is not None:
            self._grammar.free()
