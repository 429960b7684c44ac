"""Beginnings of conversations that had to leave the cache, kept in a limited amount of memory."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentd.models.llama.job import Stored
from agentd.models.llama.pool import common

State = NDArray[np.uint8]
"""Everything that llama.cpp keeps of a sequence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    session: str
    tokens: array[int]
    state: State

    @property
    def size(self) -> int:
        return self.state.nbytes + self.tokens.itemsize * len(self.tokens)


class Spill:
    """Holds at most `most` bytes; the state that was used longest ago is dropped first.

    With `whole_only`, a state only helps a prompt that begins with all of it, and may help several. Otherwise it also
    helps a prompt that shares a beginning with it, and moves back into the cache.
    """

    def __init__(self, most: int, *, whole_only: bool = False) -> None:
        self.most = most
        self.size = 0
        self._whole_only = whole_only
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def room_for(self, size: int) -> bool:
        return size <= self.most

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether exactly this beginning is here."""
        wanted = array("i", tokens)
        return any(entry.tokens == wanted for entry in self._entries.values())

    def put(self, session: str, tokens: Sequence[int], state: State) -> None:
        """Keep this beginning; it replaces a shorter one of the same session with which it begins."""
        entry = _Entry(session=session, tokens=array("i", tokens), state=state)
        if not self.room_for(entry.size):
            return
        for key, other in list(self._entries.items()):
            same = other.session == session and other.tokens == entry.tokens[: len(other.tokens)]
            if other.tokens == entry.tokens or (same and not self._whole_only):
                self._drop(key)
        self._next += 1
        self._entries[self._next] = entry
        self.size += entry.size
        while self.size > self.most:
            self._drop(next(iter(self._entries)))

    def find(self, prompt: Sequence[int]) -> Stored | None:
        """The state that helps this prompt most; one token of the prompt is always left to decode."""
        wanted = array("i", prompt)
        best: Stored | None = None
        for key, entry in self._entries.items():
            length = len(entry.tokens)
            keep = min(common(entry.tokens, wanted), len(wanted) - 1)
            if keep > (best.keep if best else 0) and (keep == length or not self._whole_only):
                best = Stored(key=key, length=length, keep=keep)
        return best

    def take(self, stored: Stored) -> State:
        """The state; it stays here only if it can help other prompts too."""
        entry = self._entries[stored.key]
        if self._whole_only:
            self._entries.move_to_end(stored.key)
        else:
            self._drop(stored.key)
        return entry.state

    def _drop(self, key: int) -> None:
        self.size -= self._entries.pop(key).size
