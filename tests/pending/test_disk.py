"""What the pending directory says, and still does, on a disk that is full, read-only or broken."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.errors import NotAccepted, StateError
from agentd.host.files import OsFiles
from agentd.pending import PendingDirectory, health
from tests.builders import inbound, outbound
from tests.pending_files import FailingFiles, directory, in_pending, until


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, "input/output error"),
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
    ],
)
async def test_a_sender_is_told_why_the_disk_refused(tmp_path: Path, number: int, words: str) -> None:
    files = FailingFiles()
    async with directory(tmp_path, files) as opened:
        files.number = number
        with pytest.raises(NotAccepted, match=words):
            await opened.accept(inbound())
        files.number = 0
        assert in_pending(tmp_path) == []


async def test_after_two_failures_messages_are_refused_until_the_disk_takes_writes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    files, event = FailingFiles(), inbound()
    async with directory(tmp_path, files) as opened:
        files.number = errno.EIO
        for _ in range(2):
            with pytest.raises(NotAccepted):
                await opened.accept(inbound())
        assert not opened.healthy
        assert "input/output error" in opened.problem
        with pytest.raises(NotAccepted, match="input/output error"):
            await opened.accept(event)
        files.number = 0
        await until(lambda: opened.healthy)
        assert opened.problem == ""
        await opened.accept(event)
    assert in_pending(tmp_path) == [f"{event.id}.event"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_with_free_space_may_lack_room_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A quota or the number of files is used up. A restart would not help, and a look cannot see that it is over."""
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    files = FailingFiles()
    async with directory(tmp_path, files) as opened:
        files.number = number
        with pytest.raises(NotAccepted):
            await opened.accept(inbound())
        for _ in range(3):
            await opened.look()
            assert not opened.healthy and opened.lacks_room
        files.number = errno.EIO
        await until(lambda: not opened.lacks_room)
        assert not opened.healthy
        files.number = 0
        await until(lambda: opened.healthy)


def mount(path: Path, options: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode(errors='replace').strip()}")


def remount(path: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount(path, "size=2m")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


async def test_a_disk_that_is_really_full_refuses_messages_and_lets_turns_end(small_disk: Path) -> None:
    event = inbound()
    async with directory(small_disk) as opened:
        await opened.accept(event)
        with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        for _ in range(3):
            with pytest.raises(NotAccepted, match="disk is full"):
                await opened.accept(inbound("x" * 10_000))
        assert not opened.healthy
        answer = outbound(event, "y" * 10_000)
        await opened.answer(answer)
        await opened.sending(event.id, ["y"])
        assert await opened.load(event.id) == answer
        await opened.ack(event.id)
        (small_disk / "filler").unlink()
        await opened.accept(inbound("x" * 10_000))
        assert opened.healthy


async def test_a_disk_that_becomes_read_only_refuses_with_that_reason(small_disk: Path) -> None:
    async with directory(small_disk) as opened:
        remount(small_disk, "ro")
        with pytest.raises(NotAccepted, match="read-only"):
            await opened.accept(inbound())
        remount(small_disk, "rw")
        await opened.accept(inbound())


async def test_a_look_tells_what_the_next_message_would_meet(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    async with directory(small_disk) as opened:
        remount(small_disk, "ro")
        await opened.look()
        assert "read-only" in opened.problem and not opened.lacks_room
        remount(small_disk, "rw")
        await until(lambda: opened.healthy)


async def test_a_read_only_state_directory_refuses_the_start(small_disk: Path) -> None:
    remount(small_disk, "ro")
    with pytest.raises(StateError, match="read-only"):
        async with directory(small_disk):
            pass


async def test_a_state_directory_that_is_a_file_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    with pytest.raises(StateError, match="cannot be used"):
        async with directory(tmp_path / "state"):
            pass


async def test_below_the_floor_of_free_space_a_message_is_told_how_much_is_missing(tmp_path: Path) -> None:
    async with PendingDirectory(tmp_path, min_free_bytes=1 << 60) as opened:
        with pytest.raises(NotAccepted, match=r" [\d.]+ MB .* [\d.]+ MB "):
            await opened.accept(inbound())
        assert not opened.healthy
        await opened.accept(outbound(answers=()))


class NetworkFiles(OsFiles):
    def network_type(self, directory: str) -> str:
        return "NFS"


async def test_a_network_file_system_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="NFS"):
        async with PendingDirectory(tmp_path, NetworkFiles()):
            pass
    async with PendingDirectory(tmp_path, NetworkFiles(), allow_network_fs=True, min_free_bytes=0) as opened:
        await opened.accept(inbound())


async def test_an_answer_that_failed_twice_makes_the_directory_unhealthy(tmp_path: Path) -> None:
    files, event = FailingFiles(), inbound()
    async with directory(tmp_path, files) as opened:
        await opened.accept(event)
        assert opened.healthy
        files.number = errno.EIO
        with pytest.raises(StateError):
            await opened.answer(outbound(event))
        assert not opened.healthy
