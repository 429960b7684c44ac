"""Whose a directory or file is, is looked at before anything is written to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.errors import StateError
from agentd.host.ownership import check_own, open_own, own_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = 65534


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("before", [0o1777, 0o777, 0o775, 0o755, 0o500])
def test_a_directory_of_ours_becomes_ours_alone(tmp_path: Path, before: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    path.mkdir()
    path.chmod(before)
    own_directory(str(path))
    assert mode(path) == 0o700
    assert ("others could write" in caplog.text) == bool(before & 0o022)


def test_a_missing_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    own_directory(str(tmp_path / "a" / "b"))
    assert mode(tmp_path / "a" / "b") == 0o700


def test_a_link_to_a_directory_of_ours_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    own_directory(str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert mode(tmp_path / "real") == 0o700


@as_root
@pytest.mark.parametrize("whose", ["directory", "link", "target"])
def test_what_somebody_else_owns_is_refused_and_stays_as_it_is(tmp_path: Path, whose: str) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    real.chmod(0o755)
    link.symlink_to("real")
    os.chown(link if whose == "link" else real, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(StateError, match=r"belongs to .*65534.*--state-dir"):
        own_directory(str(real if whose == "directory" else link))
    assert mode(real) == 0o755


@as_root
def test_a_directory_that_everybody_shares_is_refused() -> None:
    for shared in ("/", "/tmp"):
        before = mode(Path(shared))
        with pytest.raises(StateError, match="shared by everybody"):
            own_directory(shared)
        assert mode(Path(shared)) == before


def test_a_link_to_nothing_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(StateError, match="not exist; create"):
        own_directory(str(tmp_path / "link"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(StateError, match="is a file, not a directory"):
        own_directory(str(tmp_path / "file"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


ODD: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to("victim"),
    "a directory": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
    "a socket": _socket,
}


@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_file_is_refused_and_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "victim").write_text("precious")
    path = tmp_path / "lock"
    ODD[kind](path)
    with pytest.raises(StateError, match=f"lock is {kind}, not a file"):
        open_own(str(path), os.O_RDWR | os.O_CREAT)
    with pytest.raises(StateError, match=f"lock is {kind}, not a file"):
        check_own(str(path))
    assert (tmp_path / "victim").read_text() == "precious"


@as_root
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("theirs")
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(StateError, match=r"is a file of .*65534"):
        open_own(str(path), os.O_RDWR | os.O_CREAT)


def test_a_file_of_ours_is_opened_or_made(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not check_own(str(path))
    os.close(open_own(str(path), os.O_RDWR | os.O_CREAT))
    assert check_own(str(path))
    assert mode(path) == 0o600
