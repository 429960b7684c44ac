"""Whether the disk takes new messages: found out without writing, and tried again and again while it refuses them."""

from __future__ import annotations

import asyncio

from agentd.pending.disk import Disk
from agentd.pending.threads import Threads

PROBE_SECONDS = 5.0
"""How often agentd tries a disk again that refused a write."""
LOOK_SECONDS = 2.0
"""A disk that has not answered after this long counts as hanging."""
SILENT = "the disk does not answer; look at the system's log (dmesg) and at what it is mounted from"


class Health:
    """What the event loop knows of a `Disk`; `close` it before its threads."""

    def __init__(self, disk: Disk, threads: Threads) -> None:
        self._disk = disk
        self._threads = threads
        self._probe: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closing = False
        self.silent = False
        """Whether the disk hung at the last look."""

    @property
    def lacks_room(self) -> bool:
        """Whether nothing is wrong but that the disk is full."""
        return self._disk.lacks_room and not self.silent

    @property
    def problem(self) -> str:
        """Why new messages are refused, and what to do, as far as is known; "" if they are not."""
        problem = SILENT if self.silent else self._disk.problem
        return problem and f"new messages are refused: {problem}"

    async def look(self) -> None:
        """Find out, without writing, whether new messages are accepted; waits `LOOK_SECONDS` at most."""
        if self._closing:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._threads.run(self._disk.look), name="look at the disk")
        await asyncio.wait([self._looking], timeout=LOOK_SECONDS)
        self.silent = not self._looking.done()
        self.wrote()

    def wrote(self) -> None:
        """Call it after each write: if the disk refuses writes, it is tried from time to time until it takes one."""
        if self._disk.problem and self._probe is None and not self._closing:
            self._probe = asyncio.create_task(self._ask_again(), name="probe of the disk")

    async def _ask_again(self) -> None:
        """Try the disk until it takes writes; an accept tries it as well."""
        try:
            while self._disk.problem:
                await asyncio.sleep(PROBE_SECONDS)
                await self._threads.run(self._disk.probe)
        finally:
            self._probe = None

    async def close(self) -> None:
        """Stop looking and trying."""
        self._closing = True
        for task in (self._probe, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
