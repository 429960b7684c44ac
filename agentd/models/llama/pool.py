"""What each sequence of llama.cpp's cache holds, and how many cells that takes; pure.

The cache is unified: a sequence that begins with a copy of another one shares its cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence: its tokens, and the identities of the `cells` that hold them. A job has it while it is `busy`.

    `used` is the time at which the last job ended. A free slot with tokens is what a session left behind. A `pinned`
    slot is cleared after all others; the newest one has the highest number.
    """

    number: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    session: str = ""
    used: int = 0
    busy: bool = False
    pinned: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a slot held when it was cleared."""

    slot: int
    session: str
    tokens: tuple[int, ...]


class Pool:
    """`slots` sequences that share `context` cells."""

    def __init__(self, *, slots: int, context: int) -> None:
        self.slots = [Slot(i) for i in range(slots)]
        self.context = context
        self._references: dict[int, int] = {}
        self._next_cell = 0

    @property
    def used(self) -> int:
        """Cells that hold a token, each counted once."""
        return len(self._references)

    def held_by_busy(self, beside: Sequence[int]) -> int:
        """Cells in `beside` and in busy slots, each counted once."""
        return len({*beside, *(cell for slot in self.slots if slot.busy for cell in slot.cells)})

    def idle(self) -> list[Slot]:
        """Free slots that hold something: the one that was used longest ago first, pinned ones last."""
        held = (slot for slot in self.slots if not slot.busy and slot.cells)
        return sorted(held, key=lambda slot: (slot.pinned, slot.used))

    def share(self, source: Slot, target: Slot, length: int) -> None:
        """Let `target` hold the first `length` tokens of `source`, and nothing else; both may be the same slot."""
        tokens, cells = source.tokens[:length], source.cells[:length]
        for cell in cells:
            self._references[cell] += 1
        self.clear(target)
        target.tokens, target.cells = tokens, cells

    def add(self, slot: Slot, tokens: Sequence[int]) -> None:
        """Append these tokens to a slot, in new cells."""
        cells = range(self._next_cell, self._next_cell + len(tokens))
        self._next_cell = cells.stop
        slot.tokens += tokens
        slot.cells += cells
        for cell in cells:
            self._references[cell] = 1

    def cut(self, slot: Slot, length: int) -> None:
        """Keep only the first `length` tokens."""
        self._release(slot.cells[length:])
        del slot.tokens[length:], slot.cells[length:]

    def clear(self, slot: Slot) -> Left:
        left = Left(slot=slot.number, session=slot.session, tokens=tuple(slot.tokens))
        self._release(slot.cells)
        slot.tokens, slot.cells, slot.session, slot.pinned = [], [], "", 0
        return left

    def _release(self, cells: Sequence[int]) -> None:
        for cell in cells:
            self._references[cell] -= 1
            if not self._references[cell]:
                del self._references[cell]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest common beginning; compares slices, which is quick for thousands of tokens."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
