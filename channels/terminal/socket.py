"""A unix socket under a path of any length, and the group that it is shared with."""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from agentd.errors import StateError


def bind(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`, replacing a stale one; the caller holds the state directory's lock.

    The kernel takes at most 107 bytes, so a long path is reached through a descriptor of its directory
    (see unix(7) and proc_pid_fd(5)). Raises `StateError`.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                _refuse_foreign(path)
                os.unlink(path.name, dir_fd=directory)
            before = os.umask(0o177)
            try:
                listener.bind(f"/proc/self/fd/{directory}/{path.name}")
            finally:
                os.umask(before)
            os.chmod(f"/proc/self/fd/{directory}/{path.name}", mode)
        finally:
            os.close(directory)
        listener.listen(128)
        listener.setblocking(False)
    except BaseException as error:
        listener.close()
        if not isinstance(error, OSError):
            raise
        raise StateError(f"cannot listen on {path}: {error.strerror or error}; choose another AGENTD_SOCKET.") from None
    return listener


def _refuse_foreign(path: Path) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise StateError(f"{path} exists and is not a socket; move it away or choose another AGENTD_SOCKET.")


def shared_group(path: Path) -> int | None:
    """The group that the socket is shared with, None where it is its owner's alone."""
    status = os.stat(path)
    if not status.st_mode & stat.S_IWGRP:
        return None
    with suppress(KeyError):
        grp.getgrgid(status.st_gid)
        return status.st_gid
    return None
