"""The memory that this process holds, and how what is free of it goes back to the system."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path


def resident() -> int:
    """Bytes of memory that this process holds (proc(5), statm); 0 if the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()


def trim() -> None:
    """Give back the free pages between what is still used (malloc_trim(3)); takes milliseconds. Nothing without glibc.

    free(3) gives back only what is free at the end of the heap, so one small object there keeps all of the rest.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
