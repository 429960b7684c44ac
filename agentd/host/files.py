"""The file operations that durability depends on, as one object that a test can count, delay, break or replace.

All of them block and raise OSError. A file is durable after `sync` of its descriptor *and* `sync` of its directory's
descriptor (POSIX promises that neither includes the other).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from agentd.host.ownership import own_directory

FIRST_BYTES, BLOCK_BYTES = 16 * 1024, 1024 * 1024
"""How much of a file is read at once: most files fit into the first block."""
MOST_BYTES = 64 * 1024 * 1024
"""The maximum size of a file that is read."""

A_LINK, A_DIRECTORY = "a link", "a directory"

MEANING = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; remount it for writing and check the disk",
    errno.EIO: "the disk reports an input/output error; check it before you trust it further",
    errno.EACCES: "permission is denied; the state directory must belong to the user that runs agentd",
    errno.EPERM: "the operation is not permitted; the state directory must belong to the user that runs agentd",
    errno.EFBIG: "the file would be larger than allowed; raise the file size limit",
    errno.EMFILE: "too many files are open; raise the limit of open files",
    errno.ENFILE: "too many files are open on this machine",
    errno.EXDEV: "the directories are on different file systems; keep the state directory on one",
}

NETWORK_TYPES = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "SMB",
    0x01021997: "9p",
    0x65735546: "FUSE",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x0BD00BD0: "Lustre",
}
"""`f_type` of file systems that may only pretend to sync or lock (statfs(2), linux/magic.h)."""


def explain(error: OSError) -> str:
    """An error of the operating system in words, with what to do."""
    return MEANING.get(error.errno or 0, error.strerror or str(error))


class NotOurs(OSError):
    """A file that agentd did not write: it is not a regular file, belongs to somebody else, or is far too large."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EBADMSG, why)


class Files(Protocol):
    """The operations. Paths are absolute; descriptors are valid until `close`."""

    def make_directory(self, path: str) -> None:
        """Make it with its parents, mode 0700; an existing one is closed to others or refused, see `own_directory`."""
        ...

    def names(self, directory: str) -> list[str]: ...

    def odd(self, directory: str) -> dict[str, str]:
        """Everything in a directory that is not a regular file: name -> what it is."""
        ...

    def blocks(self, path: str) -> Iterator[bytes]:
        """A regular file of ours, at most `MOST_BYTES`; anything else is an error. It never waits."""
        ...

    def create(self, path: str) -> int:
        """A descriptor of a new file of mode 0600; FileExistsError if the name is taken."""
        ...

    def append(self, path: str) -> int:
        """A descriptor that appends to a file, which is created if it is missing."""
        ...

    def directory(self, path: str) -> int:
        """A descriptor to `sync` a directory with; opened before a change, it reports every error since then."""
        ...

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """How many bytes were taken; it may be fewer than given."""
        ...

    def allocate(self, fd: int, size: int) -> None:
        """Reserve this much space for a file."""
        ...

    def sync(self, fd: int) -> None: ...

    def close(self, fd: int) -> None: ...

    def rename(self, source: str, target: str) -> None: ...

    def link(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def sync_all(self, directory: str) -> None:
        """Make everything durable that any process wrote to this file system."""
        ...

    def free_bytes(self, directory: str) -> int:
        """How many bytes may still be written; OSError if the file system is read-only."""
        ...

    def device(self, directory: str) -> int:
        """The number of its file system; files can be moved and linked only within one."""
        ...

    def network_type(self, directory: str) -> str:
        """The name of its file system if that is a network one, "" for a local one."""
        ...


def read_all(files: Files, path: str) -> bytes:
    """The whole file; `Files.blocks` says what may be read."""
    return b"".join(files.blocks(path))


def write_all(files: Files, fd: int, data: bytes) -> None:
    """Write all of `data`, even if each write takes only a part."""
    written = files.write(fd, data)
    while written < len(data):
        taken = files.write(fd, memoryview(data)[written:])
        if taken <= 0:
            raise OSError(errno.EIO, "the disk accepts no bytes")
        written += taken


@contextmanager
def synced_directory(files: Files, path: str) -> Iterator[None]:
    """Sync a directory, through a descriptor opened before, when the block ends without an error."""
    fd = files.directory(path)
    try:
        yield
        files.sync(fd)
    finally:
        # Nothing was written through it, so an error here says nothing about the change.
        with suppress(OSError):
            files.close(fd)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return A_LINK
    return A_DIRECTORY if entry.is_dir(follow_symlinks=False) else "not a regular file"


def _refuse_foreign(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotOurs("it is not a regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise NotOurs(f"it belongs to another user ({found.st_uid})")
    if found.st_size > MOST_BYTES:
        raise NotOurs(f"it has {found.st_size:,} bytes, more than any file that agentd writes")


class OsFiles:
    """Implements `Files` on the operating system."""

    def make_directory(self, path: str) -> None:
        own_directory(path)

    def names(self, directory: str) -> list[str]:
        return os.listdir(directory)

    def odd(self, directory: str) -> dict[str, str]:
        with os.scandir(directory) as found:
            return {entry.name: _kind(entry) for entry in found if not entry.is_file(follow_symlinks=False)}

    def blocks(self, path: str) -> Iterator[bytes]:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse_foreign(os.fstat(fd))
            data = os.read(fd, FIRST_BYTES)
            yield data
            if len(data) == FIRST_BYTES:
                while data := os.read(fd, BLOCK_BYTES):
                    yield data
        finally:
            os.close(fd)

    def create(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def append(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def directory(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return os.write(fd, data)

    def allocate(self, fd: int, size: int) -> None:
        os.posix_fallocate(fd, 0, size)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def sync_all(self, directory: str) -> None:
        """Uses syncfs(2), which reports errors since Linux 5.8."""
        fd = self.directory(directory)
        try:
            if _libc.syncfs(fd) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), directory)
        finally:
            os.close(fd)

    def free_bytes(self, directory: str) -> int:
        found = os.statvfs(directory)
        if found.f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), directory)
        return found.f_bavail * found.f_frsize

    def device(self, directory: str) -> int:
        return os.stat(directory).st_dev

    def network_type(self, directory: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        if _libc.statfs(os.fsencode(directory), buffer) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
        # f_type is the first member of struct statfs, a long; magic numbers have 32 bits.
        kind = ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
        return NETWORK_TYPES.get(kind, "")


_libc = ctypes.CDLL(None, use_errno=True)
