"""Does work that may crash, hang or eat memory in a copy of this process.

The copy (fork) sees everything that is loaded and cannot change it; to start one takes milliseconds. `isolated` does
one piece of work. A `Copy` does many, until one of them exceeds its limits. The time of work is processor time, which a
busy machine does not use up; only work that waits for something is ended by the clock.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress

from agentd.errors import ModelError
from agentd.host.limited import end_with
from agentd.host.limits import Crashed

log = logging.getLogger(__name__)

MOST_MEMORY = 1 << 30
"""Bytes that a copy may take by default, besides what the process has already."""
WAIT_SECONDS = 30.0
"""How long a copy may take by the clock, however busy the machine is; its work is limited in processor time."""
_RESULT, _REFUSED, _FAILED = b"r", b"e", b"f"
_LENGTH = struct.Struct(">I")
_LONGEST_REFUSAL = 300
_LATE = "it did not end within {:g} s"


def isolated(work: Callable[[], bytes], *, seconds: float, memory: int = MOST_MEMORY) -> bytes:
    """What `work` returns. Its `ModelError` is raised here too; `Crashed` if it did not end by itself.

    The work may take `seconds` of processor time, those of all its threads together.
    """
    ours, theirs = os.pipe()
    pid = _fork()
    if pid == 0:
        _run(work, theirs, seconds, memory)
    os.close(theirs)
    data: bytes | None = None
    try:
        data = _read(ours, time.monotonic() + WAIT_SECONDS)
    finally:
        os.close(ours)
        if data is None:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if data is None:
        raise Crashed(_LATE.format(WAIT_SECONDS))
    if not data:
        raise Crashed(_how(status, seconds))
    return _unpacked(data)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about forks and threads: the copy uses no thread
        return os.fork()


def _unpacked(data: bytes) -> bytes:
    match data[:1]:
        case b"r":
            return data[1:]
        case b"e":
            raise ModelError(data[1:].decode())
    raise Crashed(data[1:].decode())


# --- In the copy -----------------------------------------------------------------------------------------------------


def _run(work: Callable[[], bytes], pipe: int, seconds: float, memory: int) -> None:
    """In the copy: never returns."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, WAIT_SECONDS)  # in case that the process that waits for it is gone
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        _limit_memory(memory)
        data = _packed(work)
        while data:
            data = data[os.write(pipe, data) :]
        os._exit(0)  # without the exit handlers of this process
    except BaseException:
        log.exception("isolated work")
    finally:
        os._exit(1)


def _packed(work: Callable[[], bytes]) -> bytes:
    """The outcome, as `_unpacked` reads it."""
    try:
        return _RESULT + work()
    except ModelError as error:
        return _REFUSED + str(error).encode("utf-8", "replace")
    except Crashed as crash:
        return _FAILED + str(crash).encode("utf-8", "replace")
    except Exception as error:
        log.exception("isolated work")
        return _FAILED + f"{type(error).__name__}: {error}"[:_LONGEST_REFUSAL].encode("utf-8", "replace")


def _limit_memory(memory: int) -> None:
    """Limit the memory, so that work that grows without end fails. Only Linux says how much a process has."""
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[5])  # its private memory, as RLIMIT_DATA counts it
        most = pages * resource.getpagesize() + memory
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


# --- A copy that stays -----------------------------------------------------------------------------------------------


class Copy:
    """A copy of this process that does `work` for one request after the other. `close` ends it, or dropping it does.

    Each request may take `seconds` of processor time, all together `memory` bytes. The copy is made at once, so that it
    does not hold what is loaded later. It has no open files but its standard streams and its socket to this process.
    """

    def __init__(self, work: Callable[[bytes], bytes], *, seconds: float, memory: int = MOST_MEMORY) -> None:
        self._seconds = seconds
        ours, theirs = socket.socketpair()
        ours.settimeout(WAIT_SECONDS)
        parent = os.getpid()
        self._pid = _fork()
        if self._pid == 0:
            _stay(work, theirs, parent, seconds, memory)
        theirs.close()
        self._socket = ours
        self.close = weakref.finalize(self, _close, ours, self._pid)

    def ask(self, data: bytes) -> bytes:
        """What the work returns, or its `ModelError`. `Crashed` if the work fails or the copy had to end."""
        if not self.close.alive:
            raise Crashed("it is gone")
        try:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)
            answer = _receive(self._socket)
        except TimeoutError:
            self.close()
            raise Crashed(_LATE.format(WAIT_SECONDS)) from None
        except OSError:
            answer = None
        if answer is None:
            raise Crashed(self._end())
        return _unpacked(answer)

    def _end(self) -> str:
        status = self.close()
        return "it is gone" if status is None else _how(status, self._seconds)


def _close(connection: socket.socket, pid: int) -> int:
    """End the copy; its exit status."""
    connection.close()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _stay(work: Callable[[bytes], bytes], connection: socket.socket, parent: int, seconds: float, memory: int) -> None:
    """In the copy: never returns."""
    try:
        end_with(parent)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        _limit_memory(memory)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        while (data := _receive(connection)) is not None:
            _answer(work, connection, data, seconds)
        os._exit(0)
    except BaseException:
        log.exception("isolated work")
    finally:
        os._exit(1)


def _answer(work: Callable[[bytes], bytes], connection: socket.socket, data: bytes, seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    answer = _packed(lambda: work(data))
    signal.setitimer(signal.ITIMER_PROF, 0)
    connection.sendall(_LENGTH.pack(len(answer)) + answer)


def _receive(connection: socket.socket) -> bytes | None:
    """One message; None at the end of the connection."""
    head = _exactly(connection, _LENGTH.size)
    return None if head is None else _exactly(connection, _LENGTH.unpack(head)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        part = connection.recv(min(size - len(found), 1 << 20))
        if not part:
            return None
        found += part
    return bytes(found)


# --- Both ------------------------------------------------------------------------------------------------------------


def _read(pipe: int, deadline: float) -> bytes | None:
    """Everything up to the end; None if the deadline passes."""
    found = b""
    while True:
        readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        data = os.read(pipe, 1 << 16)
        if not data:
            return found
        found += data


def _how(status: int, seconds: float) -> str:
    """How a copy ended that might take so many seconds of processor time."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGPROF:
        return f"it used more than {seconds:g} s of processor time"
    if code == -signal.SIGALRM:
        return _LATE.format(WAIT_SECONDS)
    return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
