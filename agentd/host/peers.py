"""Who is at the other end of a unix socket, according to the kernel; daemon and clients both ask this."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UCRED = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""Not in the module `socket`; /usr/include/asm-generic/socket.h."""
_GROUP = struct.Struct("I")
_MOST_GROUPS = 256
"""Maximum number of groups that Python reads of a user; for one with more, only the primary group counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A process and its user at the moment when it connected or began to listen."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


def peer(connection: socket.socket) -> Peer:
    """The peer by SO_PEERCRED and SO_PEERGROUPS, see unix(7) and socket(7); `groups` includes the primary one."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid=pid, uid=uid, gid=gid, groups=frozenset((gid, *_groups(connection))))


def _groups(connection: socket.socket) -> Iterator[int]:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS * _GROUP.size)
    except OSError:  # too many groups, or a Linux before 4.13, which does not tell them
        return
    yield from (group for (group,) in _GROUP.iter_unpack(data))


def is_trusted(uid: int, directory: Path, own: int) -> bool:
    """Whether the user `own` may believe that a daemon of the user `uid` serves the socket in this directory.

    It may trust the same user and root. It may also trust the owner of the directory if nobody else can have put the
    directory there: every directory above it belongs to root, to `own` or to `uid`, and nobody else may write there.
    """
    if uid in (0, own):
        return True
    if directory.stat().st_uid != uid:
        return False
    above = {*directory.absolute().parents, *directory.resolve().parents}
    return all(_is_safe(parent.stat(), {0, own, uid}) for parent in above)


def _is_safe(status: os.stat_result, users: set[int]) -> bool:
    return status.st_uid in users and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def user_name(uid: int) -> str:
    """The name of a user; the number if there is no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
