"""Power cuts of a real kernel: an ext4 on a loop device is shut down without a flush at random moments of the traffic.

EXT4_IOC_SHUTDOWN with NOLOGFLUSH (fs/ext4/ioctl.c) drops whatever is not on the device, as xfstests' `godown` does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agentd.host.files import OsFiles
from tests.prove import traffic
from tests.prove.lives import DEADLINE, Life, Listener
from tests.prove.result import Result, say
from tests.prove.told import Tell, opened
from tests.prove.world import World

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
IMAGE_BYTES = 64 * 1024 * 1024
STEPS = 200
MOST_PROMISES = 120
"""A cut comes after at most so many promises of a life."""
CUTS_PER_DISK = 40
"""After so many power cuts on one file system the next one is made."""
CONTROL_MUST_LOSE = 0.9


class LoopDisk:
    """An ext4 in a file; `OSError` or `CalledProcessError` where this machine does not allow it."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.mounted_at = folder / "disk"
        self.mounted_at.mkdir(exist_ok=True)

    def make(self) -> None:
        with self._image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", "-t", "ext4", str(self._image), str(self.mounted_at))

    def cut_power(self) -> None:
        fd = os.open(self.mounted_at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        _run("umount", str(self.mounted_at))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays mounted, whatever happened."""
        if os.path.ismount(self.mounted_at):
            _run("umount", "--lazy", str(self.mounted_at))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class NoSync(OsFiles):
    """What most programs do: written is taken for stored."""

    def sync(self, fd: int) -> None:
        """Nothing."""

    def sync_all(self, directory: str) -> None:
        """Nothing."""


def why_not(folder: Path) -> str:
    """Why there can be no power cut here, "" where there can."""
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is not installed (e2fsprogs)"
    disk = LoopDisk(folder)
    try:
        disk.make()
        disk.mount()
    except subprocess.CalledProcessError as error:
        return f"this machine allows no loop mounts: {error.stderr.decode().strip()}"
    try:
        disk.cut_power()
    except OSError as error:
        return f"this kernel has no EXT4_IOC_SHUTDOWN: {errno.errorcode.get(error.errno or 0)}"
    finally:
        disk.unmount()
    return ""


def run(*, cuts: int, seed: int) -> Result:
    """`cuts` power cuts of our own way to write, and a tenth as many of the same without any sync."""
    result = Result(part="power-cut")
    with tempfile.TemporaryDirectory(prefix="agentd-power-cut-") as name:
        folder = Path(name)
        if reason := why_not(folder):
            result.skipped = reason
            return result.end()
        with LoopDisk(folder) as disk:
            _Ours(disk, random.Random(seed), result).run(cuts)
            _control(disk, max(3, cuts // 10), seed, result)
    return result.end()


class _Ours:
    def __init__(self, disk: LoopDisk, rng: random.Random, result: Result) -> None:
        self._disk = disk
        self._rng = rng
        self._result = result
        self._counts: dict[str, int | str] = {"cuts": 0, "promises": 0, "in recovery": 0, "set aside": 0, "lost": 0}
        result.counts = self._counts

    def run(self, cuts: int) -> None:
        world = World()
        for n in range(cuts):
            if n % CUTS_PER_DISK == 0:
                self._close(world)
                self._disk.make()
                world = World()
            self._life(world, seed=self._rng.getrandbits(32))
            self._add("cuts", 1)
            if (n + 1) % 100 == 0:
                say("power-cut", self._counts)
        self._close(world)

    def _add(self, name: str, more: int) -> None:
        value = self._counts[name]
        assert isinstance(value, int)
        self._counts[name] = value + more

    def _life(self, world: World, seed: int) -> None:
        self._disk.mount()
        before, listener = world.promises, Listener(world)
        life = Life(_traffic(self._disk.mounted_at, seed))
        _cut_somewhere(self._disk, life, listener, world, self._rng)
        self._disk.unmount()
        self._add("promises", world.promises - before)
        self._add("in recovery", listener.found is None)
        self._note(listener)

    def _close(self, world: World) -> None:
        """One more start, to see what the last power cut left."""
        if not world.promises:
            return
        self._disk.mount()
        listener = Listener(world)
        life = Life(_traffic(self._disk.mounted_at, 0, steps=0))
        for line in life.rest():
            listener.hear(line)
        if life.end() != 0:
            listener.violations.append(f"the start after a power cut failed: {listener.failure}")
        self._disk.unmount()
        self._note(listener)

    def _note(self, listener: Listener) -> None:
        self._result.violations += listener.violations
        self._add("lost", len(listener.violations))
        self._add("set aside", listener.aside)


def _traffic(state: Path, seed: int, *, steps: int = STEPS, synced: bool = True) -> Callable[[Tell], Awaitable[None]]:
    async def work(tell: Tell) -> None:
        # Without any sync there may be none of the database either: it would make everything before it durable.
        files = None if synced else NoSync()
        async with opened(state / "state", tell, files=files, rows=synced) as told:
            await traffic.run(told, seed, steps)

    return work


def _cut_somewhere(disk: LoopDisk, life: Life, listener: Listener, world: World, rng: random.Random) -> None:
    """Hear it until a random moment, cut the power, and hear what it had said before."""
    enough = world.promises + int(rng.random() ** 2 * MOST_PROMISES)
    patience = time.monotonic() + (DEADLINE if enough > world.promises else rng.uniform(0.0, 0.02))
    for line in life.lines(until=patience):
        listener.hear(line)
        if world.promises >= enough and listener.found is not None:
            break
    # A busy wait: this is shorter than the shortest sleep.
    end = time.monotonic() + rng.uniform(0.0, 0.004)
    while time.monotonic() < end:
        pass
    for line in life.lines(until=time.monotonic()):
        listener.hear(line)
    disk.cut_power()
    life.kill()
    for line in life.rest():
        # Said after the power was gone: no promise, for a sync that the shutdown overtakes can return success with
        # nothing stored (SQLite's syncs do so here too); but what it began may have reached the disk before.
        if "done" not in line:
            listener.hear(line)
    life.end()


def _control(disk: LoopDisk, cuts: int, seed: int, result: Result) -> None:
    """The same traffic without syncs must lose nearly all of it, or the power cuts were none."""
    rng = random.Random(seed + 1)
    lost = owed = 0
    for _ in range(cuts):
        disk.make()
        disk.mount()
        world = World()
        listener = Listener(world)
        life = Life(_traffic(disk.mounted_at, rng.getrandbits(32), synced=False))
        _cut_somewhere(disk, life, listener, world, rng)
        disk.unmount()
        lost_now, owed_now = _what_is_left(disk, world)
        lost, owed = lost + lost_now, owed + owed_now
    share = lost / owed if owed else 0.0
    result.counts["control without sync"] = f"lost {lost:,} of {owed:,} ({share:.0%}) in {cuts} cuts"
    if owed and share < CONTROL_MUST_LOSE:
        result.violations.append(f"void: without any sync only {share:.0%} were lost, so these power cuts cut nothing")


def _what_is_left(disk: LoopDisk, world: World) -> tuple[int, int]:
    disk.mount()
    seen = Listener(World())
    life = Life(_traffic(disk.mounted_at, 0, steps=0, synced=False))
    for line in life.rest():
        if "found" in line:
            seen.hear(line)
    life.end()
    disk.unmount()
    return world.lost(seen.found or {})
