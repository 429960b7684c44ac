"""Work that may crash, hang or eat memory in native code, done in a copy of this process that may be lost.

The copy (fork) sees everything that is loaded and may change nothing of it; starting one costs milliseconds.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable

from agentd.errors import ModelError
from agentd.limits import Crashed

log = logging.getLogger(__name__)

MOST_MEMORY = 1 << 30
"""Bytes that the copy may take beyond what the process has, unless it is told otherwise."""
_RESULT, _REFUSED, _FAILED = b"r", b"e", b"f"


def isolated(work: Callable[[], bytes], *, seconds: float, memory: int = MOST_MEMORY) -> bytes:
    """What `work` returns; its `ModelError` is raised here too; `Crashed` where it came to no end of its own."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the copy uses none of them
        pid = os.fork()
    if pid == 0:
        _run(work, theirs, seconds, memory)
    os.close(theirs)
    data: bytes | None = None
    try:
        data = _read(ours, time.monotonic() + seconds)
    finally:
        os.close(ours)
        if data is None:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if data is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM):
        raise Crashed(f"it did not end within {seconds:g} s")
    if data[:1] == _REFUSED:
        raise ModelError(data[1:].decode())
    if data[:1] == _FAILED:
        raise Crashed(data[1:].decode())
    if data[:1] != _RESULT:
        raise Crashed(_how(status))
    return data[1:]


def _run(work: Callable[[], bytes], pipe: int, seconds: float, memory: int) -> None:
    """In the copy: never returns."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        _limit_memory(memory)
        try:
            data = _RESULT + work()
        except ModelError as error:
            data = _REFUSED + str(error).encode()
        except Exception as error:
            log.exception("isolated work")
            data = _FAILED + f"{type(error).__name__}: {error}".encode()
        while data:
            data = data[os.write(pipe, data) :]
        os._exit(0)  # without what a process of ours does at its end
    except BaseException:
        log.exception("isolated work")
    finally:
        os._exit(1)


def _limit_memory(memory: int) -> None:
    """So that work that only grows ends by itself; Linux knows how much a process has."""
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        most = pages * resource.getpagesize() + memory
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _read(pipe: int, deadline: float) -> bytes | None:
    """Everything up to the end; None when the time is up."""
    found = b""
    while True:
        readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        data = os.read(pipe, 1 << 16)
        if not data:
            return found
        found += data


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
