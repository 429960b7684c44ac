"""Every crash at every operation of every move leaves what was promised, and each way to break that is noticed."""

from __future__ import annotations

import logging
import os

import pytest

from agentd.host.files import read_all
from agentd.pending import file as pending_file
from agentd.pending import recovery
from agentd.pending.log import LogLine
from agentd.pending.moves import Moves
from agentd.ports.work import PendingTurn
from agentd.testing.crash import CrashExplorer, Violation
from agentd.testing.files import SimFiles
from tests.pending_script import LAYOUT, Script, World, busy_hour, start_up, whole_life

# Set these higher for the long form; each seed is another sample of states and another order of what runs at once.
SEEDS = int(os.environ.get("CRASH_SEEDS", "3"))
LIMIT = int(os.environ.get("CRASH_LIMIT", "300"))
NESTED = int(os.environ.get("CRASH_NESTED", "8"))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of torn files are set aside here."""
    caplog.set_level(logging.CRITICAL, logger="agentd")


def explore(files: SimFiles, moves: type[Moves] = Moves, *, seed: int = 0) -> CrashExplorer[World]:
    explorer = CrashExplorer(start_up, seed=seed, limit=LIMIT, nested=NESTED)
    whole_life(Script(files, explorer, moves))
    return explorer


class NoFileSync(SimFiles):
    def sync(self, fd: int) -> None:
        if self._open[fd][1] in (LAYOUT.pending, LAYOUT.dead, LAYOUT.corrupt, LAYOUT.state):
            super().sync(fd)


class NoDirectorySync(SimFiles):
    def sync(self, fd: int) -> None:
        if self._open[fd][1] not in (LAYOUT.pending, LAYOUT.dead):
            super().sync(fd)


class NoSyncOfTheDead(SimFiles):
    def sync(self, fd: int) -> None:
        if self._open[fd][1] != LAYOUT.dead:
            super().sync(fd)


class NoSyncAtTheStart(SimFiles):
    def sync_all(self, directory: str) -> None:
        self._operation("sync_all", directory)

    def killed(self) -> SimFiles:
        found = NoSyncAtTheStart()
        found._root = super().killed()._root
        return found


class MovesTheEvent(Moves):
    """Marks a send by moving the event out of the way and back, without a sync."""

    def append(self, turn: PendingTurn, line: LogLine, *, durable: bool) -> None:
        super().append(turn, line, durable=durable)
        if turn.outbound_id:
            aside = f"{self._at.corrupt}/{turn.id}.sending"
            self._files.rename(self._at.event(turn.id), aside)
            self._files.rename(aside, self._at.event(turn.id))


class RewritesTheEvent(Moves):
    """Writes the event anew in its place when it is sent."""

    def append(self, turn: PendingTurn, line: LogLine, *, durable: bool) -> None:
        super().append(turn, line, durable=durable)
        if turn.outbound_id:
            path = self._at.event(turn.id)
            content = read_all(self._files, path)
            self._files.unlink(path)
            self._disk.write(path, content)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_crash_at_any_operation_of_any_move_breaks_a_promise(seed: int) -> None:
    explorer = explore(SimFiles(), seed=seed)
    print(f"seed {seed}: {explorer.states} states, {explorer.nested_states} within recoveries")
    assert explorer.states > 100


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_crash_breaks_a_promise_when_moves_of_several_turns_run_at_once(seed: int) -> None:
    files = SimFiles()
    explorer = CrashExplorer(start_up, seed=seed, limit=LIMIT, nested=NESTED)
    busy_hour(Script(files, explorer), seed)
    print(f"seed {seed}: {explorer.states} states, {explorer.nested_states} within recoveries")
    assert explorer.states > 100


@pytest.mark.parametrize("files", [NoFileSync, NoDirectorySync, NoSyncOfTheDead, NoSyncAtTheStart])
def test_a_sync_that_is_left_out_is_noticed(files: type[SimFiles]) -> None:
    with pytest.raises(Violation):
        explore(files())


@pytest.mark.parametrize("moves", [MovesTheEvent, RewritesTheEvent])
def test_an_event_that_is_moved_or_rewritten_after_its_answer_is_noticed(moves: type[Moves]) -> None:
    with pytest.raises(Violation):
        explore(SimFiles(), moves)


def test_a_missing_checksum_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_file, "digest", lambda data: "0" * 64)
    with pytest.raises(Violation):
        explore(SimFiles())


def test_a_recovery_that_raises_on_a_bad_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(files: SimFiles, directory: str, corrupt: str, aside: dict[str, str]) -> None:
        if aside:
            raise ValueError(f"bad files: {aside}")

    monkeypatch.setattr(recovery, "set_aside", refuse)
    with pytest.raises(ValueError, match="bad files"):
        explore(SimFiles())
