"""A real disk on which every sync takes longer: virtual disks take 0.1 or 4 ms for a sync, as their host likes."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from agentd.host.files import OsFiles

_GETFLAGS, _SETFLAGS, _TOPDIR = 0x80086601, 0x40086602, 0x00020000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and EXT4_TOPDIR_FL of linux/fs.h and fs/ext4/ext4.h."""


def fresh_directory(place: Path) -> Path:
    """A new directory in `place`, which the caller removes; on ext4, in a part of the disk of its own.

    An ext4 without a journal makes files slowly for minutes in a part where many were deleted, because it looks at each
    of them again (`recently_deleted` in fs/ext4/ialloc.c). So a round would pay for the ones before it.
    """
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # another file system has no such parts
            flags = struct.unpack("l", fcntl.ioctl(fd, _GETFLAGS, bytes(8)))[0]
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("l", flags | _TOPDIR))
    finally:
        os.close(fd)
    return Path(tempfile.mkdtemp(dir=place))


class SlowFiles(OsFiles):
    """`agentd.host.files.OsFiles` with `delay` seconds added to every sync, which are also counted."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.syncs = 0

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.wait()

    def sync_all(self, directory: str) -> None:
        super().sync_all(directory)
        self.wait()

    def wait(self) -> None:
        """Wait as much longer as a sync takes; for the syncs of others, such as a database."""
        self.syncs += 1
        if self.delay:
            time.sleep(self.delay)
