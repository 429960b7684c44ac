"""How long to wait before something that failed is tried again: the one schedule of all that tries again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """The first wait is at most `first` seconds, and each failure doubles that, up to `longest`.

    A wait that is `drawn` is at least the part `certain` of this: 0 is full jitter, which keeps those apart that failed
    together. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: float
    longest: float
    certain: float = 0.0

    def ceiling(self, earlier: int) -> float:
        """The longest wait in seconds after this many earlier failures (0 for the first one)."""
        return min(self.longest, self.first * 2.0 ** min(earlier, 32))

    def drawn(self, earlier: int, rng: random.Random) -> float:
        """A wait, drawn at random up to the longest one."""
        ceiling = self.ceiling(earlier)
        return rng.uniform(self.certain * ceiling, ceiling)
