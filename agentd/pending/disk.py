"""Whether the disk under the pending directory takes writes, and the reserve of space for turns that already run."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from threading import Lock
from typing import TypeVar

from agentd.host.files import Files, explain, synced_directory, write_all

log = logging.getLogger(__name__)

T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT)
CERTAIN = (*FULL, errno.EROFS)
"""Errors that the next write will meet, too."""
RESERVE_BYTES = 1024 * 1024
"""Bytes of the reserve, which lets running turns store their answers on a full disk."""
MAX_FAILURES = 2
"""After this many failures in a row new messages are refused, even if the error may pass."""

_NOT_THE_DISK = (errno.EEXIST, errno.ENOENT)


class Disk:
    """Counts failures; many threads use it.

    A failed sync is never repeated on its descriptor, because the kernel marks the pages clean all the same (Rebello et
    al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020): every attempt opens anew.
    """

    def __init__(self, files: Files, pending: str, min_free_bytes: int) -> None:
        self._files = files
        self._pending = pending
        self._reserve = f"{pending}/.reserve"
        self._min_free_bytes = min_free_bytes
        self._failures = 0
        self._lock = Lock()
        self._probing = Lock()
        self._probes = count()
        self._reserved = False
        self._low_space = False
        """Whether nothing is wrong but that there is less space than new messages must leave."""
        self.lacks_room = False
        """Whether nothing is wrong but that the disk is full, or a quota is used up."""
        self.problem = ""
        """Why new messages are refused; "" if they are not."""

    def open(self) -> None:
        """Make the reserve, if there is room for it."""
        self._reserved = ".reserve" in self._files.names(self._pending)
        self._low()

    def look(self) -> None:
        """Find out, without writing, whether there is room and whether the file system takes writes at all."""
        try:
            if not self._low() and self._low_space:
                self._well()
        except OSError as error:
            self._refuse(error)

    def refusal(self) -> str:
        """Why a new message cannot be taken now; "" if it can."""
        if self.problem and not self.probe():
            return self.problem
        try:
            return self.problem if self._low() else ""
        except OSError as error:
            self._failed(error)
            return explain(error)

    def probe(self) -> bool:
        """Whether the disk takes a small file; then new messages are accepted again. One thread at a time calls it."""
        if not self._probing.acquire(blocking=False):
            return False
        path = f"{self._pending}/.probe.{next(self._probes)}.tmp"
        try:
            if self._low():
                return False
            with synced_directory(self._files, self._pending):
                self.write(path, b"probe\n")
                self._files.unlink(path)
        except OSError as error:
            self._refuse(error)
            return False
        finally:
            self._probing.release()
        self._well()
        return True

    def _well(self) -> None:
        if self.problem:
            log.info("the disk takes writes again; before, %s", self.problem)
        with self._lock:
            self._failures = 0
            self.problem, self.lacks_room, self._low_space = "", False, False

    def _refuse(self, error: OSError) -> None:
        """No new messages from here on. A disk may have no room for a file, although it has free space."""
        self.problem, self.lacks_room, self._low_space = explain(error), error.errno in FULL, False

    def attempt(self, work: Callable[[], T]) -> T:
        """Do the work and remember whether the disk took it."""
        try:
            result = work()
        except OSError as error:
            if error.errno not in _NOT_THE_DISK:
                self._failed(error)
            raise
        if self._failures and not self.problem:
            self._failures = 0
        return result

    def insist(self, work: Callable[[], T]) -> T:
        """Do the work; if the disk refuses, do it once more with new files (on a full disk, without the reserve)."""
        try:
            return self.attempt(work)
        except OSError as error:
            self.make_room(error)
        return self.attempt(work)

    def make_room(self, error: OSError) -> None:
        """Release the reserve if this error says that the disk is full."""
        if error.errno in FULL and self._reserved:
            self._reserved = False
            with suppress(OSError):
                self._files.unlink(self._reserve)
                log.warning("the disk is full: the reserve of %d bytes was released", RESERVE_BYTES)

    def write(self, path: str, data: bytes) -> None:
        """Write and sync a new file with this content; after an error nothing of it is left. Its name is not durable
        yet."""
        fd = self._files.create(path)
        try:
            try:
                write_all(self._files, fd, data)
                self._files.sync(fd)
            finally:
                self._files.close(fd)
        except OSError:
            with suppress(OSError):
                self._files.unlink(path)
            raise

    def _low(self) -> bool:
        """Whether there is less space than new messages must leave; if there is enough, the reserve is made again."""
        free = self._files.free_bytes(self._pending)
        if free < self._min_free_bytes:
            needed = f"{free / 1e6:.1f} MB are free and {self._min_free_bytes / 1e6:.1f} MB are needed"
            if not self.problem:
                log.error("new messages are refused: %s", needed)
                self.lacks_room = self._low_space = True
            self.problem = f"the disk is nearly full: {needed}; free some space"
            return True
        if not self._reserved and free >= self._min_free_bytes + RESERVE_BYTES:
            self._make_reserve()
        return False

    def _make_reserve(self) -> None:
        self._reserved = True
        try:
            fd = self._files.create(self._reserve)
        except FileExistsError:
            return
        except OSError as error:
            log.warning("no space could be reserved: %s", explain(error))
            return
        try:
            self._files.allocate(fd, RESERVE_BYTES)
        except OSError as error:
            log.warning("no space could be reserved: %s", explain(error))
        finally:
            self._files.close(fd)

    def _failed(self, error: OSError) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= MAX_FAILURES or error.errno in CERTAIN:
                self._refuse(error)
        log.error("the disk refused a write (%d in a row): %s", self._failures, error)
