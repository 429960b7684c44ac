"""What something takes of the processor, when other programs do not slow it down."""

from __future__ import annotations

import time
from collections.abc import Callable

_TRIES = 5


def least_seconds(work: Callable[[], object], enough: float) -> float:
    """Seconds of the processor that `work` took in its fastest try; the first try under `enough` is the last.

    A cold cache, a collection of garbage or a neighbour on the same core makes a single try several times as slow.
    """
    least = float("inf")
    for _ in range(_TRIES):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
        if least < enough:
            break
    return least
