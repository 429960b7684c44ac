"""Ordered ids: they sort by the moment they were given, also when the clock goes back."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable

ID_PATTERN = re.compile(r"[0-9a-e][0-9a-f]{15}-[0-9a-f]{8}")
"""16 hex digits that only ever grow (nanoseconds since 1970 while the clock behaves), 8 random ones.

None begins with f, so that after whatever id is found on a disk there is room for later ones.
"""


NO_ID = "0000000000000000-00000000"
"""Sorts before every id."""


def following(identifier: str) -> str:
    """An id of the same moment that follows from this one, so that what is made anew after a crash is the same."""
    return f"{identifier[:16]}-{hashlib.sha256(identifier.encode()).hexdigest()[:8]}"


def is_id(text: str) -> bool:
    """Whether this is the form of an id of ours; only such a name is ever part of a path."""
    return ID_PATTERN.fullmatch(text) is not None


def time_of(identifier: str) -> float:
    """Seconds since 1970 at which the id was given (later than that if the clock had gone back)."""
    return int(identifier[:16], 16) / 1e9


class IdSource:
    """Gives ids, each greater than every one given or seen before; used from one thread."""

    def __init__(self, time_ns: Callable[[], int] = time.time_ns) -> None:
        self._time_ns = time_ns
        self._last = 0
        # Asking the system each time gives up the interpreter's lock, which is long in coming back among many threads.
        self._random = random.Random()

    def next(self) -> str:
        self._last = max(self._last + 1, self._time_ns())
        return f"{self._last:016x}-{self._random.getrandbits(32):08x}"

    def seen(self, identifier: str) -> None:
        """Never give an id that sorts before this one (found on disk); what is no id is passed over."""
        if is_id(identifier):
            self._last = max(self._last, int(identifier[:16], 16))
