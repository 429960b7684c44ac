"""A real disk whose every sync takes longer: virtual disks answer a sync in 0.1 or in 4 ms, as their host likes."""

from __future__ import annotations

import time

from agentd.files import OsFiles


class SlowFiles(OsFiles):
    """`agentd.files.OsFiles` with `delay` seconds added to every sync, which are also counted."""

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
        """What a sync takes longer; for those that others make, a database for example."""
        self.syncs += 1
        if self.delay:
            time.sleep(self.delay)
