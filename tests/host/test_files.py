"""The file operations on the real file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agentd.errors import StateError
from agentd.host.files import MOST_BYTES, OsFiles, explain, read_all, synced_directory, write_all


class ShortFiles(OsFiles):
    """Takes three bytes at a time, and then no more than `room` of them."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room

    def write(self, fd: int, data: bytes | memoryview) -> int:
        taken = min(3, len(data), self.room)
        self.room -= taken
        return super().write(fd, data[:taken])


def put(files: OsFiles, path: Path, data: bytes) -> None:
    fd = files.create(str(path))
    try:
        write_all(files, fd, data)
        files.sync(fd)
    finally:
        files.close(fd)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = OsFiles()
    for size in (0, 1, 16 * 1024 - 1, 16 * 1024, 3_000_000):
        data = os.urandom(size)
        put(files, tmp_path / str(size), data)
        assert read_all(files, str(tmp_path / str(size))) == data


def test_short_writes_are_completed(tmp_path: Path) -> None:
    put(ShortFiles(), tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_disk_that_takes_nothing_is_an_error_and_not_an_endless_loop(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no bytes"):
        put(ShortFiles(room=5), tmp_path / "x", b"0123456789")


def test_a_new_file_is_private_and_never_takes_the_place_of_another(tmp_path: Path) -> None:
    put(OsFiles(), tmp_path / "x", b"first")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        put(OsFiles(), tmp_path / "x", b"second")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        put(OsFiles(), tmp_path / "link", b"second")
    assert not (tmp_path / "elsewhere").exists()


def test_lines_are_appended(tmp_path: Path) -> None:
    files = OsFiles()
    for line in (b"one\n", b"two\n"):
        fd = files.append(str(tmp_path / "log"))
        write_all(files, fd, line)
        files.close(fd)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_links_are_not_followed_and_pipes_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="symbolic"):
        read_all(OsFiles(), str(tmp_path / "link"))
    with pytest.raises(OSError, match="symbolic"):
        OsFiles().append(str(tmp_path / "link"))
    with pytest.raises(OSError, match="not a regular"):
        read_all(OsFiles(), str(tmp_path / "pipe"))
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", MOST_BYTES + 1)
    with pytest.raises(OSError, match="more than any"):
        read_all(OsFiles(), str(tmp_path / "hole"))
    assert set(OsFiles().odd(str(tmp_path))) == {"link", "pipe"}


def test_a_directory_is_private_also_when_it_was_not(tmp_path: Path) -> None:
    files = OsFiles()
    (tmp_path / "open").mkdir(mode=0o755)
    for name in ("open", "new/below"):
        files.make_directory(str(tmp_path / name))
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="is a file, not a directory"):
        OsFiles().make_directory(str(tmp_path / "file"))


def test_a_directory_is_not_synced_when_the_change_failed(tmp_path: Path) -> None:
    synced: list[int] = []

    class Watched(OsFiles):
        def sync(self, fd: int) -> None:
            synced.append(fd)
            super().sync(fd)

    with pytest.raises(ZeroDivisionError), synced_directory(Watched(), str(tmp_path)):
        raise ZeroDivisionError
    assert synced == []
    with synced_directory(Watched(), str(tmp_path)):
        pass
    assert len(synced) == 1


def test_everything_is_synced_at_once(tmp_path: Path) -> None:
    OsFiles().sync_all(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        OsFiles().sync_all(str(tmp_path / "missing"))


def test_a_local_disk_is_no_network_file_system_and_has_room(tmp_path: Path) -> None:
    assert OsFiles().network_type("/proc") == ""
    assert OsFiles().free_bytes(str(tmp_path)) > 0
    with pytest.raises(FileNotFoundError):
        OsFiles().network_type(str(tmp_path / "missing"))


def test_space_is_really_taken(tmp_path: Path) -> None:
    fd = OsFiles().create(str(tmp_path / "x"))
    OsFiles().allocate(fd, 1 << 20)
    OsFiles().close(fd)
    assert (tmp_path / "x").stat().st_blocks * 512 >= 1 << 20


def test_an_error_says_what_to_do() -> None:
    assert "free some space" in explain(OSError(errno.ENOSPC, "No space left on device"))
    assert explain(OSError(errno.ENOTDIR, "Not a directory")) == "Not a directory"
    assert explain(OSError("no number")) == "no number"
