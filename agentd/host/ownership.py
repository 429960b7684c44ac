"""Which files are ours; checked before anything is written, because others may have put a link under a name.

A directory is ours if it belongs to the user of this process and nobody else can write to it. A file is ours if it is a
regular file and belongs to this user or to root. A link to our directory is followed if the link belongs to us or to
root, like those that systemd makes; a link to a file is never followed.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat

from agentd.errors import StateError

log = logging.getLogger(__name__)

SHARED = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run")
"""Directories that must never be closed to others, no matter who owns them."""
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def own_directory(path: str) -> None:
    """Make a directory with its parents, mode 0700; close an existing one to others, and log if they could write.

    `StateError` if it is not ours or if everybody shares it; OSError if the system refuses.
    """
    try:
        os.makedirs(path, mode=0o700)
    except FileExistsError:
        _take(path)


def _take(path: str) -> None:
    link, found = os.lstat(path), _followed(path)
    if found.st_uid != os.geteuid():
        raise _theirs(f"the directory {path}", found.st_uid)
    if link.st_uid not in (os.geteuid(), 0):
        raise _theirs(f"{path}, which is a link,", link.st_uid)
    mode = stat.S_IMODE(found.st_mode)
    if any(os.path.samestat(found, os.stat(shared)) for shared in SHARED if os.path.isdir(shared)):
        raise StateError(f"the directory {path} is shared by everybody; choose one for agentd alone with --state-dir.")
    if mode & _OTHERS or mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(path, 0o700)
    if mode & _OTHERS_WRITE:
        log.warning("others could write to %s (its mode was %o); now only its owner can", path, mode)


def _theirs(what: str, owner: int) -> StateError:
    return StateError(
        f"{what} belongs to {_user(owner)}, and agentd runs as {_user(os.geteuid())}; run it as that user, or choose a "
        "directory of your own with --state-dir."
    )


def _followed(path: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise StateError(
            f"{path} is a link to a directory that does not exist; create that directory, or remove the link."
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(
            f"{path} cannot be used: it is {_kind(found.st_mode)}, not a directory; move it away and start again."
        )
    return found


def open_own(path: str, flags: int) -> int:
    """A descriptor of a file of ours, opened without waiting; with O_CREAT, a missing file is made with mode 0600.

    `StateError` if something else has its name; that stays as it is. OSError if the system refuses.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_ours(path, _kind(os.lstat(path).st_mode)) from None
        raise
    try:
        _check(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_own(path: str) -> bool:
    """Whether the file exists; `StateError` if it is not ours. For files that must not be opened twice."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    _check(found, path)
    return True


def _check(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _not_ours(path, _kind(found.st_mode))
    if found.st_uid not in (os.geteuid(), 0):
        raise _not_ours(path, f"a file of {_user(found.st_uid)}")


def _not_ours(path: str, what: str) -> StateError:
    return StateError(f"{path} is {what}, not a file of agentd; look at it, move it away, and start again.")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFREG: "a file",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
