"""Folders are walked in order, once, and to the end, whatever is in them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.retrieval.walk import vanished, walk


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    return path


def names(path: Path) -> list[str]:
    return [os.path.relpath(found.path, path) for found in walk(str(path)) if not found.reason]


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", "c/z.md", "c/y.md", "d.md"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.md", "b.md", "c/y.md", "c/z.md", "d.md"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in (".git/a.md", ".hidden.md", "a.md"):
        touch(tmp_path / name)
    assert [found.path for found in walk(str(tmp_path))] == [str(tmp_path / "a.md")]


def test_a_file_that_is_not_text_by_its_name_has_a_reason(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "Makefile")
    makefile, png = (found.reason for found in walk(str(tmp_path)))
    assert "without a suffix" in makefile and png.startswith(".png ")


def test_a_file_that_is_named_itself_is_tried(tmp_path: Path) -> None:
    path = touch(tmp_path / ".hidden.conf")
    assert [(found.path, found.reason) for found in walk(str(path))] == [(str(path), "")]


def test_links_are_followed_within_a_folder_and_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "docs/a.md")
    (tmp_path / "docs/round").symlink_to(tmp_path)
    (tmp_path / "again.md").symlink_to("docs/a.md")
    assert names(tmp_path) == ["again.md", "docs/a.md"]


def test_a_link_that_leads_out_of_the_folder_is_left_out_and_named(tmp_path: Path) -> None:
    secret = touch(tmp_path / "home/.ssh/id_rsa")
    (tmp_path / "notes/sub").mkdir(parents=True)
    (tmp_path / "notes/key.md").symlink_to(secret)
    (tmp_path / "notes/sub/home").symlink_to(tmp_path / "home")
    (tmp_path / "notes/sub/up").symlink_to("../..")
    found = list(walk(str(tmp_path / "notes")))
    assert [one.reason.rpartition(", to ")[2] for one in found] == [
        str(place) for place in (secret, tmp_path / "home", tmp_path)
    ]


def test_a_link_that_cannot_be_followed_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    touch(tmp_path / "b.md")
    ended = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        # What a process that is to be waited for has as its folder is a link that cannot be read.
        (tmp_path / "a.md").symlink_to(f"/proc/{ended.pid}/cwd/a.md")
        found = list(walk(str(tmp_path)))
        assert vanished(str(tmp_path / "a.md"), str(tmp_path))
    finally:
        ended.wait()
    assert [one.reason for one in found] == ["cannot be read: No such file or directory", ""]


@pytest.mark.parametrize("path", ["/proc", "/sys"])
def test_a_folder_of_the_kernel_is_left_out_with_one_sentence(path: str) -> None:
    (found,) = walk(path)
    assert found.path == path and "the kernel" in found.reason


def test_a_folder_or_file_that_is_named_itself_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "real/a.md")
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path / "link") == ["a.md"]


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed again: pytest itself removes no tree deeper than Python calls."""
    (tmp_path / "deep").mkdir()
    yield tmp_path / "deep"
    subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


def test_folders_may_be_deeper_than_python_calls(deep: Path) -> None:
    folder = os.open(deep, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(os.open("a.md", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    assert len(names(deep)) == 1


def test_a_path_that_is_too_long_is_named_and_the_rest_goes_on(deep: Path) -> None:
    folder = os.open(deep, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    touch(deep / "z.md")
    found = list(walk(str(deep)))
    assert [one.reason for one in found] == ["cannot be read: File name too long", ""]


def test_only_what_is_certainly_not_there_has_vanished(tmp_path: Path) -> None:
    path = touch(tmp_path / "a/b.md")
    assert not vanished(str(path))
    path.unlink()
    assert vanished(str(path))
    assert vanished(str(touch(tmp_path / "file") / "below"))
    assert not vanished("/" + "n" * 300)
