"""The file system in memory behaves as the real one, and loses what that may lose."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.host.files import Files, OsFiles, read_all, synced_directory, write_all
from agentd.testing.files import SimFiles


def put(files: Files, path: str, data: bytes, *, sync: bool = True) -> None:
    fd = files.create(path)
    write_all(files, fd, data)
    if sync:
        files.sync(fd)
    files.close(fd)


def after_cuts(files: SimFiles, limit: int = 1000) -> list[dict[str, bytes]]:
    """The different contents of /d after a power cut now."""
    found: list[dict[str, bytes]] = []
    for cut in files.power_cuts(random.Random(0), limit):
        content = {name: read_all(cut, f"/d/{name}") for name in cut.names("/d")} if "d" in cut.names("/") else {}
        if content not in found:
            found.append(content)
    return found


def prepared() -> SimFiles:
    files = SimFiles()
    files.make_directory("/d")
    files.sync_all("/")
    return files


def test_it_answers_as_the_real_one(tmp_path: Path) -> None:
    def answers(files: Files, root: str) -> list[object]:
        def asked(question: Callable[[], object]) -> object:
            try:
                return question()
            except OSError as error:
                return error.errno

        files.make_directory(f"{root}/d")
        files.make_directory(f"{root}/d")
        put(files, f"{root}/d/a", b"a")
        fd = files.append(f"{root}/d/a")
        write_all(files, fd, b"b")
        files.close(fd)
        return [
            asked(lambda: read_all(files, f"{root}/d/a")),
            asked(lambda: files.create(f"{root}/d/a")),
            asked(lambda: read_all(files, f"{root}/d/none")),
            asked(lambda: read_all(files, f"{root}/d")),
            asked(lambda: files.names(f"{root}/d/a")),
            asked(lambda: files.link(f"{root}/d/a", f"{root}/d/b")),
            asked(lambda: files.link(f"{root}/d/a", f"{root}/d/b")),
            asked(lambda: files.link(f"{root}/d", f"{root}/e")),
            asked(lambda: files.link(f"{root}/d/none", f"{root}/d/c")),
            asked(lambda: files.rename(f"{root}/d/b", f"{root}/d/c")),
            asked(lambda: files.rename(f"{root}/d/b", f"{root}/d/c")),
            asked(lambda: files.unlink(f"{root}/d/b")),
            asked(lambda: sorted(files.names(f"{root}/d"))),
            asked(lambda: files.unlink(f"{root}/d/a")),
            asked(lambda: read_all(files, f"{root}/d/c")),
        ]

    assert answers(SimFiles(), "") == answers(OsFiles(), str(tmp_path))


def test_what_is_synced_with_its_directory_survives() -> None:
    files = prepared()
    with synced_directory(files, "/d"):
        put(files, "/d/a", b"content")
    assert after_cuts(files) == [{"a": b"content"}]


def test_a_file_that_is_synced_without_its_directory_may_have_no_name() -> None:
    files = prepared()
    put(files, "/d/a", b"content")
    assert after_cuts(files) == [{}, {"a": b"content"}]


def test_a_name_without_a_sync_of_the_data_may_hold_anything() -> None:
    files = prepared()
    with synced_directory(files, "/d"):
        put(files, "/d/a", b"contents", sync=False)
    found = [content["a"] for content in after_cuts(files)]
    assert found == [b"", b"contents", b"cont", bytes(8), b"cont" + bytes(4), b"cont"[:2] + b"otents", b"contenus"]


def test_a_line_that_is_appended_does_not_harm_the_lines_before() -> None:
    files = prepared()
    with synced_directory(files, "/d"):
        put(files, "/d/log", b"one\n")
    fd = files.append("/d/log")
    files.write(fd, b"two\n")
    assert all(content["log"].startswith(b"one\n") for content in after_cuts(files))
    files.sync(fd)
    assert after_cuts(files) == [{"log": b"one\ntwo\n"}]


def test_a_rename_may_reach_the_disk_in_halves() -> None:
    files = prepared()
    with synced_directory(files, "/d"):
        put(files, "/d/a", b"x")
    files.rename("/d/a", "/d/b")
    found = after_cuts(files)
    assert sorted(map(sorted, found)) == [[], ["a"], ["a", "b"], ["b"]]


def test_a_failed_sync_is_not_made_good_by_a_later_one() -> None:
    files = prepared()
    with synced_directory(files, "/d"):
        fd = files.create("/d/a")
    files.write(fd, b"x")
    files.fail = lambda name, path: errno.EIO if name == "sync" else 0
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.sync(fd)
    files.fail = lambda name, path: 0
    files.sync(fd)
    assert {"a": b""} in after_cuts(files)


def test_a_killed_process_leaves_all_that_it_did_and_no_more_of_it_durable() -> None:
    files = prepared()
    put(files, "/d/a", b"x", sync=False)
    killed = files.killed()
    assert read_all(killed, "/d/a") == b"x"
    assert {} in after_cuts(killed)
    killed.sync_all("/d")
    assert after_cuts(killed) == [{"a": b"x"}]
    assert {} in after_cuts(files)


def test_a_sample_begins_with_nothing_and_everything() -> None:
    files = prepared()
    for n in range(12):
        put(files, f"/d/{n}", b"x")
    found = after_cuts(files, limit=40)
    assert len(found) <= 40
    assert found[0] == {}
    assert len(found[1]) == 12
    assert all(any(len(content) == size for content in found) for size in (1, 11))
