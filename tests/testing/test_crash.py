"""The explorer finds what a crash breaks, also when recovery itself is what breaks it."""

from __future__ import annotations

import pytest

from agentd.host.files import synced_directory
from agentd.testing.crash import CrashExplorer, Violation
from agentd.testing.files import SimFiles

Found = tuple[str, ...]


def prepared(*names: str) -> SimFiles:
    files = SimFiles()
    files.make_directory("/d")
    for name in names:
        files.close(files.create(f"/d/{name}"))
    files.sync_all("/")
    return files


def names(files: SimFiles) -> Found:
    files.sync_all("/")
    return tuple(sorted(files.names("/d")))


def test_every_outcome_of_a_crash_is_there() -> None:
    files = prepared("a")
    explorer = CrashExplorer(names)
    assert set(explorer.outcomes(files)) == {("a",)}
    files.close(files.create("/d/b"))
    assert set(explorer.outcomes(files)) == {("a",), ("a", "b")}
    assert explorer.states == 2


def test_a_recovery_that_destroys_what_it_found_is_noticed() -> None:
    def moves_aside(files: SimFiles) -> Found:
        found = names(files)
        for name in found:
            files.unlink(f"/d/{name}")
            files.close(files.create(f"/d/{name}"))
        with synced_directory(files, "/d"):
            pass
        return found

    with pytest.raises(Violation, match="cut off"):
        list(CrashExplorer(moves_aside).outcomes(prepared("a")))


def test_a_recovery_that_believes_what_is_only_in_memory_is_noticed() -> None:
    def hasty(files: SimFiles) -> Found:
        return tuple(sorted(files.names("/d")))

    files = prepared()
    files.close(files.create("/d/a"))
    with pytest.raises(Violation, match="cut off"):
        list(CrashExplorer(hasty).outcomes(files))
