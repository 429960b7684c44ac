"""A unix socket under a path of any length, and the group that it is shared with."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentd.errors import StateError
from agentd.host.peers import user_name

QUEUE = 128
"""Clients that may wait until they are accepted."""
LOCK_SECONDS = 1.0
"""How long a start waits for the lock of a socket's directory."""


class Bound:
    """A socket that listens under a path, until `close` takes both away."""

    def __init__(self, listener: socket.socket, path: Path) -> None:
        self.listener = listener
        self.path = path
        self._inode = _inode(path)

    def unlink(self) -> None:
        """Nobody finds it any more. What has taken the place of our socket in the meantime stays."""
        if self.listener.fileno() < 0:
            return
        # While it is open, no other socket can have its inode.
        with suppress(OSError):
            if _inode(self.path) == self._inode:
                self.path.unlink()

    def close(self) -> None:
        """Harmless when done already."""
        self.unlink()
        self.listener.close()


def _inode(path: Path) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def bind(path: Path, mode: int) -> Bound:
    """Listen at `path`, in the place of a stale socket of ours if one lies there; the kernel keeps who comes waiting.

    The kernel takes at most 107 bytes, so a long path is reached through a descriptor of its directory
    (see unix(7) and proc_pid_fd(5)). Raises `StateError`.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _one_at_a_time(path.parent):
                _make_room(path, directory)
                _bind(listener, f"/proc/self/fd/{directory}/{path.name}", mode)
                return Bound(listener, path)
        finally:
            os.close(directory)
    except BaseException as error:
        listener.close()
        if not isinstance(error, OSError):
            raise
        raise StateError(f"cannot listen on {path}: {error.strerror or error}; choose another AGENTD_SOCKET.") from None


def _bind(listener: socket.socket, path: str, mode: int) -> None:
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    os.chmod(path, mode)
    listener.listen(QUEUE)
    listener.setblocking(False)


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Of two daemons that start at one moment, one looks what lies there when the other one listens already.

    Whoever may read the directory may hold its lock; that delays a start by a second, and no more.
    """
    try:
        locked = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        yield
        return
    try:
        until = time.monotonic() + LOCK_SECONDS
        while not _lock(locked) and time.monotonic() < until:
            time.sleep(LOCK_SECONDS / 100)
        yield
    finally:
        os.close(locked)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _make_room(path: Path, directory: int) -> None:
    """Take a stale socket of ours away; `StateError` for anything else that lies there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StateError(f"{path} exists and is not a socket; move it away or choose another AGENTD_SOCKET.")
    if found.st_uid != os.geteuid():
        raise StateError(f"{path} belongs to {user_name(found.st_uid)}; remove it or choose another AGENTD_SOCKET.")
    if _somebody_listens(f"/proc/self/fd/{directory}/{path.name}"):
        raise StateError(f"another process listens on {path}; stop it or choose another AGENTD_SOCKET.")
    os.unlink(path.name, dir_fd=directory)


def _somebody_listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:  # too many wait already, or it is a socket of another type
            return True
    return True


def shared_group(path: Path) -> int | None:
    """The group that the socket is shared with; None if its owner alone may use it."""
    status = os.stat(path)
    if not status.st_mode & stat.S_IWGRP:
        return None
    with suppress(KeyError):
        grp.getgrgid(status.st_gid)
        return status.st_gid
    return None
