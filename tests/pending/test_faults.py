"""Errors of the disk at each call of each move, on real files: every move says so, can be repeated, and loses nothing.

`FAULT_STEP=1` tries every call; by default it is a sample that differs from error to error.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import AgentdError, NotAccepted, StateError
from agentd.host.files import OsFiles
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from tests.builders import IDS, inbound
from tests.prove import traffic
from tests.prove.script import every_move
from tests.prove.told import Told, found_in
from tests.prove.world import Item, World

STEP = int(os.environ.get("FAULT_STEP", "23"))
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES)
MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Every refusal is logged."""
    caplog.set_level(logging.CRITICAL, logger="agentd")


class FaultyFiles(OsFiles):
    """The operating system's files, of which call number `at` fails, or every one while `always` is set.

    A write takes `short` bytes at most; 0 is no limit.
    """

    def __init__(self, *, at: int = 0, number: int = errno.EIO, short: int = 0) -> None:
        self.calls = 0
        self.at = at
        self.failed = False
        self.always = False
        self._number = number
        self._short = short

    def _call(self, path: str = "") -> None:
        self.calls += 1
        if self.always or self.calls == self.at:
            self.failed = True
            raise OSError(self._number, os.strerror(self._number), path)

    def create(self, path: str) -> int:
        self._call(path)
        return super().create(path)

    def append(self, path: str) -> int:
        self._call(path)
        return super().append(path)

    def directory(self, path: str) -> int:
        self._call(path)
        return super().directory(path)

    def blocks(self, path: str) -> Iterator[bytes]:
        self._call(path)
        return super().blocks(path)

    def names(self, directory: str) -> list[str]:
        self._call(directory)
        return super().names(directory)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._call()
        return super().write(fd, data[: self._short or len(data)])

    def allocate(self, fd: int, size: int) -> None:
        self._call()
        super().allocate(fd, size)

    def sync(self, fd: int) -> None:
        self._call()
        super().sync(fd)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._call()

    def rename(self, source: str, target: str) -> None:
        self._call(source)
        super().rename(source, target)

    def link(self, source: str, target: str) -> None:
        self._call(source)
        super().link(source, target)

    def unlink(self, path: str) -> None:
        self._call(path)
        super().unlink(path)

    def sync_all(self, directory: str) -> None:
        self._call(directory)
        super().sync_all(directory)

    def free_bytes(self, directory: str) -> int:
        self._call(directory)
        return super().free_bytes(directory)


class Patient(Told):
    """Makes a move again that was refused once; it must be possible then."""

    refusals = 0

    async def _move(self, make: Callable[[], Awaitable[object]], op: str, keys: Sequence[str], **fields: Any) -> None:
        try:
            await super()._move(make, op, keys, **fields)
        except AgentdError as error:
            assert isinstance(error, NotAccepted if op == "accept" else StateError), error
            self.refusals += 1
            await super()._move(make, op, keys, **fields)


async def look(state: Path) -> dict[str, Item]:
    """What the next start finds."""
    async with PendingDirectory(state, min_free_bytes=0, threads=2) as pending:
        return found(await found_in(pending, None))


def found(raw: dict[str, dict[str, Any]]) -> dict[str, Item]:
    return {key: Item(**fields) for key, fields in raw.items()}


async def live(state: Path, files: FaultyFiles, world: World) -> int:
    """Every move on these files; how many were refused at first. A start may be refused as well."""
    for _ in range(2):
        try:
            async with PendingDirectory(state, files, min_free_bytes=0, threads=2) as pending:
                told = Patient(pending, None, IDS, world.told)
                await every_move(told, first=1)
                files.at = 0
                assert world.contradictions(found(await found_in(pending, None))) == []
                return told.refusals
        except StateError:
            assert files.failed and not world.promises, "only the start may be given up"
    raise AssertionError("the second start was refused as well, without any fault")


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """As many new folders as a test wants, in memory where there is such a place: nothing here needs a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        yield lambda: Path(tempfile.mkdtemp(dir=root)) / "state"


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
async def test_a_fault_at_any_call_is_told_can_be_repeated_and_loses_nothing(
    folders: Callable[[], Path], number: int
) -> None:
    refused = tried = 0
    for at in range(1 + ERRORS.index(number), 10_000, STEP):
        files, world, state = FaultyFiles(at=at, number=number), World(), folders()
        refused += await live(state, files, world)
        if not files.failed:
            break
        tried += 1
        assert world.check(await look(state)) == [], f"after {errno.errorcode[number]} at call {at}"
    assert tried * STEP > 150
    print(f"faults of {errno.errorcode[number]}: {tried} calls failed, {refused} moves were refused at first, lost 0")


@pytest.mark.parametrize("short", [1, 100])
async def test_writes_that_take_only_a_part_are_completed(folders: Callable[[], Path], short: int) -> None:
    state, world = folders(), World()
    assert await live(state, FaultyFiles(short=short), world) == 0
    assert world.check(await look(state)) == []


async def test_a_message_that_was_refused_is_gone_whatever_call_failed(folders: Callable[[], Path]) -> None:
    """Otherwise its repetition, under a new id, would be answered twice."""
    for at in range(1, 100):
        state = folders()
        async with PendingDirectory(state, min_free_bytes=0, threads=1):
            pass
        files = FaultyFiles()
        async with PendingDirectory(state, files, min_free_bytes=0, threads=1) as pending:
            files.calls, files.at = 0, at
            event = inbound()
            try:
                await pending.accept(event)
            except NotAccepted:
                assert not (state / "pending" / f"{event.id}.event").exists()
            else:
                assert not files.failed or at > 1
        if not files.failed:
            assert at > 6
            return
    raise AssertionError("an accept does not end")


async def test_a_message_is_given_up_although_there_was_no_room_for_the_first_line_of_its_log(
    folders: Callable[[], Path],
) -> None:
    files, event, state = FaultyFiles(), inbound(), folders()
    async with PendingDirectory(state, files, min_free_bytes=0, threads=1) as pending:
        await pending.accept(event)
        files.always = True
        with pytest.raises(StateError, match="input/output"):
            await pending.started(event.id, alone=False)
        files.always = False
        await pending.bury(event.id, "nobody wants it")
        assert [letter.reason for letter in await pending.dead()] == ["nobody wants it"]


# --- a real disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB of real file system."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode(errors='replace').strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


async def trouble(state: Path, world: World, seed: int) -> int:
    """Traffic that goes on whatever is refused; how many moves were."""
    refused = 0
    async with PendingDirectory(state, min_free_bytes=0) as pending:
        ids = IdSource()
        ids.seen(pending.last_id)
        told = Told(pending, None, ids, world.told)
        assert world.check(found(await found_in(pending, None))) == []
        for n in range(12):
            try:
                await traffic.run(told, seed + n, 40)
            except BaseExceptionGroup as group:
                _, others = group.split((AgentdError, asyncio.CancelledError))
                assert others is None, group
                refused += 1
            assert await pending.settled(10) == []
    return refused


async def test_traffic_on_a_disk_that_is_full_again_and_again_loses_nothing(small_disk: Path) -> None:
    state, world, rng = small_disk / "state", World(), random.Random(1)
    refused = 0
    for life in range(4):
        filler = small_disk / f"filler-{life}"
        with filler.open("wb") as file:
            free = os.statvfs(small_disk)
            os.posix_fallocate(
                file.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - rng.randrange(4096, 400_000))
            )
        refused += await trouble(state, world, 100 * life)
        filler.unlink()
    assert world.check(await look(state)) == []
    assert refused, "the disk was never full"


async def remount(path: Path, mode: str) -> None:
    process = await asyncio.create_subprocess_exec("mount", "-o", f"remount,{mode}", path)
    assert await process.wait() == 0


async def test_what_was_promised_before_a_disk_became_read_only_is_there_afterwards(small_disk: Path) -> None:
    state, world = small_disk / "state", World()
    for life in range(3):
        async with PendingDirectory(state, min_free_bytes=0) as pending:
            ids = IdSource()
            ids.seen(pending.last_id)
            told = Told(pending, None, ids, world.told)
            assert world.check(found(await found_in(pending, None))) == []
            await traffic.run(told, life, 20)
            await remount(small_disk, "ro")
            for _ in range(3):
                with pytest.raises(NotAccepted, match="read-only"):
                    await told.accept(inbound(id=ids.next()))
            assert not pending.healthy
        await remount(small_disk, "rw")
    assert world.check(await look(state)) == []


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from agentd.errors import NotAccepted
from agentd.pending import PendingDirectory
from tests.builders import inbound

async def main():
    async with PendingDirectory(Path(sys.argv[1]), min_free_bytes=0) as pending:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        await pending.accept(inbound("short"))
        try:
            await pending.accept(inbound("long" * 4096))
        except NotAccepted as error:
            print(error)
        print((await pending.counts()).unanswered)

asyncio.run(main())
"""


def test_a_limit_on_the_size_of_files_refuses_what_is_longer_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "state")], capture_output=True, text=True)
    assert "file size limit" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "1"
