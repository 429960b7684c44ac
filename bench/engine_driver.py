"""A driver for benchmarks that uses the fastest way of llama.cpp that works on this machine, as the daemon does."""

from __future__ import annotations

import functools
from pathlib import Path

from agentd.models.llama import files, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.driver import Driver
from agentd.models.llama.ways import Way, allowed


@functools.cache
def way(path: Path) -> Way:
    """The fastest way that works, found by trials in copies of this process, which take about a second."""
    found = verdict.find(Checks(None), files.inspect(path).types, allowed(gpu=False)).way
    assert found is not None  # it says so by an error
    return found


def open_driver(path: Path, *, context: int, threads: int, sequences: int) -> Driver:
    """Open a driver; call it in a process that native code may end."""
    return Driver(path, context=context, threads=threads, gpu_layers=0, sequences=sequences, way=way(path))
