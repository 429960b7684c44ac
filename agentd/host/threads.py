"""How the threads of a daemon share one interpreter and one heap."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

SWITCH_SECONDS = 0.001
"""After how long a thread gives the interpreter to another that waits for it; Python's own is five times as long.

A question goes from thread to thread some thirty times, and waits this long each time while others compute.
"""
_M_ARENA_MAX = -8


def share() -> None:
    """Let no thread wait long for another, and let all of them allocate from one arena (mallopt(3)).

    Without the second, what a thread has freed stays with it: 40 MB after some long messages. Call it before threads
    are started; without glibc it does only the first.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
