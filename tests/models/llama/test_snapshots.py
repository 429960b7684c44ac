"""States of the cache on disk are found again unchanged, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agentd.models.llama import snapshots
from agentd.models.llama.snapshots import Snapshots
from agentd.models.llama.spill import State

TOKENS = [1, 2, 3]


def state(size: int = 1000, mark: int = 7) -> State:
    return np.full(size, mark, np.uint8)


def kept(snapshots: Snapshots, directory: Path) -> Path:
    snapshots.put(TOKENS, state())
    (path,) = directory.iterdir()
    return path


def test_a_state_is_found_by_its_tokens_and_what_it_depends_on(tmp_path: Path) -> None:
    directory = tmp_path / "models" / ".warm"
    Snapshots(directory, "model a").put(TOKENS, state(mark=1))
    Snapshots(directory, "model b").put(TOKENS, state(mark=2))
    found = Snapshots(directory, "model a").find(TOKENS)
    assert found is not None and found.nbytes == 1000 and set(found) == {1}
    assert Snapshots(directory, "model a").find([1, 2]) is None
    assert Snapshots(directory, "model c").find(TOKENS) is None
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_without_a_directory_nothing_is_kept() -> None:
    nowhere = Snapshots(None, "m")
    nowhere.put(TOKENS, state())
    assert nowhere.find(TOKENS) is None


@pytest.mark.parametrize("damage", ["cut", "turned", "empty", "another's"])
def test_a_damaged_file_is_no_state_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    own = Snapshots(tmp_path, "m")
    path = kept(own, tmp_path)
    data = bytearray(path.read_bytes())
    match damage:
        case "cut":
            path.write_bytes(data[:-1])
        case "turned":
            data[-500] ^= 1
            path.write_bytes(data)
        case "empty":
            path.write_bytes(b"")
        case _:
            other = Snapshots(tmp_path / "other", "m")
            other.put([4, 5], state())
            (foreign,) = (tmp_path / "other").iterdir()
            os.replace(foreign, path)
            (tmp_path / "other").rmdir()
    assert own.find(TOKENS) is None
    own.put(TOKENS, state())
    assert own.find(TOKENS) is not None


def test_what_others_may_have_written_is_not_given_to_llama_cpp(tmp_path: Path) -> None:
    own = Snapshots(tmp_path, "m")
    path = kept(own, tmp_path)
    path.chmod(0o666)
    assert own.find(TOKENS) is None
    path.chmod(0o600)
    assert own.find(TOKENS) is not None
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert own.find(TOKENS) is None


def test_only_so_many_are_kept_those_that_were_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST", 3)
    own = Snapshots(tmp_path, "m")
    (tmp_path / "left.state.123").write_bytes(b"a write that did not end")
    for number in range(5):
        own.put([number], state())
        for age, path in enumerate(sorted(tmp_path.iterdir(), key=lambda path: -path.stat().st_mtime_ns)):
            os.utime(path, (1000 - age, 1000 - age))
    assert [number for number in range(5) if own.find([number]) is not None] == [2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 3


def test_all_of_them_have_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_BYTES", 2500)
    own = Snapshots(tmp_path, "m")
    own.put([0], state(5000))
    assert not list(tmp_path.iterdir())
    for number in range(4):
        own.put([number], state(1000))
    assert len(list(tmp_path.iterdir())) == 2 and own.find([3]) is not None


def test_a_directory_that_cannot_be_written_is_logged_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    own = Snapshots(tmp_path / "file" / ".warm", "m")
    own.put(TOKENS, state())
    assert own.find(TOKENS) is None
    assert "cannot be written" in caplog.text
