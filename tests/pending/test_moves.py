"""What the moves do on a disk that fails: at each operation, once and for some time."""

from __future__ import annotations

import errno
import logging
import os
import random
from dataclasses import replace

import pytest

from agentd.errors import NotAccepted
from agentd.pending.disk import Disk
from agentd.pending.log import part, sending
from agentd.pending.moves import Moves
from agentd.pending.recovery import recover
from agentd.testing.crash import CrashExplorer
from agentd.testing.files import SimFiles
from tests.builders import inbound, outbound
from tests.pending_script import ASIDE, LAYOUT, Script, World, start_up, whole_life

STEP = int(os.environ.get("FAULT_STEP", "5"))
"""Every which operation fails; 1 is the long form."""


class Faults:
    """Fails the `at`-th operation and the `more` after it."""

    def __init__(self, files: SimFiles, *, at: int, number: int, more: int = 0) -> None:
        self.files, self.at, self.number, self.more = files, at, number, more
        self.asked = 0
        self.failed = ""
        files.fail = self

    def __call__(self, name: str, path: str) -> int:
        self.asked += 1
        if self.at <= self.asked <= self.at + self.more:
            self.failed = name
            return self.number
        return 0


def moves_on(files: SimFiles, *, min_free_bytes: int = 0) -> Moves:
    found = recover(LAYOUT, files)
    disk = Disk(files, LAYOUT.pending, min_free_bytes)
    disk.open()
    return Moves(LAYOUT, files, disk, found.logs)


def worlds(files: SimFiles) -> World:
    return {name: item for name, item in start_up(files.killed()).items() if name != ASIDE}


@pytest.mark.parametrize(("number", "more"), [(errno.EIO, 0), (errno.ENOSPC, 1)])
def test_an_error_of_any_operation_breaks_no_promise(number: int, more: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="agentd")
    for at in range(1 + more, 10_000, STEP):
        files = SimFiles()
        script = Script(files, CrashExplorer(start_up, limit=2, nested=0), every=False)
        faults = Faults(files, at=at, number=number, more=more)
        whole_life(script)
        if not faults.failed:
            assert at > 150
            return


def test_short_writes_are_completed() -> None:
    files = SimFiles()
    files.short = 7
    whole_life(Script(files, CrashExplorer(start_up, limit=2, nested=0), every=False))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_an_accept_that_fails_leaves_nothing_behind(number: int) -> None:
    for failing in ("create", "write", "sync", "close"):
        files = SimFiles()
        moves = moves_on(files)
        pending = "" if failing == "close" else "/state/pending/"
        once = [True]

        def fail(name: str, path: str, failing: str = failing, pending: str = pending, once: list[bool] = once) -> int:
            return number if name == failing and path.startswith(pending) and once and once.pop() else 0

        files.fail = fail
        with pytest.raises(OSError, match=str(number)):
            moves.accept(inbound())
        assert worlds(files) == {}


def test_an_answer_is_tried_once_more_with_a_new_file() -> None:
    files = SimFiles()
    moves, event = moves_on(files), inbound()
    moves.accept(event)
    faults = Faults(files, at=10_000, number=errno.EIO)
    synced: list[str] = []

    def fail(name: str, path: str) -> int:
        if name == "sync" and path.endswith(".tmp"):
            synced.append(path)
            return errno.EIO if len(synced) == 1 else 0
        return faults(name, path)

    files.fail = fail
    moves.answer(outbound(event))
    assert len(synced) == 2
    assert synced[0] != synced[1]


def test_a_full_disk_gives_up_the_reserve_so_that_an_answer_fits() -> None:
    files = SimFiles()
    moves, event = moves_on(files), inbound()
    moves.accept(event)
    assert ".reserve" in files.names(LAYOUT.pending)

    def full(name: str, path: str) -> int:
        return errno.ENOSPC if name == "write" and ".reserve" in files.names(LAYOUT.pending) else 0

    files.fail = full
    moves.answer(outbound(event, "it fits"))
    assert ".reserve" not in files.names(LAYOUT.pending)
    loaded = moves.load(event.id)
    assert loaded.text == "it fits"


def test_below_the_floor_messages_are_refused_and_everything_else_still_works() -> None:
    files = SimFiles()
    moves, event, second = moves_on(files, min_free_bytes=1000), inbound(), inbound()
    moves.accept(event)
    moves.accept(second)
    files.free = 999
    with pytest.raises(NotAccepted, match="nearly full"):
        moves.accept(inbound())
    moves.answer(outbound(event))
    moves.ack(event.id)
    turn = recover(LAYOUT, files.killed()).turns[second.id]
    moves.bury(second.id, second.id, "no", second.time, outbound(second, answers=()), noticed=False)
    assert turn.id not in {name for name in worlds(files) if not name.startswith("dead")}


def test_a_line_after_a_failed_one_survives() -> None:
    files = SimFiles()
    moves, event = moves_on(files), inbound()
    moves.accept(event)
    moves.answer(outbound(event))
    turn = recover(LAYOUT, files.killed()).turns[event.id]
    moves.append(turn, sending(turn, ["a", "b"]), durable=True)
    turn = replace(turn, sending=True, parts=("a", "b"))
    left = [2]

    def fail(name: str, path: str) -> int:
        if name == "sync" and left[0]:
            left[0] -= 1
            return errno.EIO
        return 0

    files.fail = fail
    with pytest.raises(OSError, match="error"):
        moves.append(turn, part(turn, 0), durable=True)
    moves.append(turn, part(turn, 1), durable=True)
    for cut in files.power_cuts(random.Random(0), 300):
        found = recover(LAYOUT, cut).turns[event.id]
        assert found.parts == ("a", "b")
        assert found.parts_done == 2


def test_a_torn_line_does_not_swallow_the_next_one() -> None:
    files = SimFiles()
    moves, event = moves_on(files), inbound()
    moves.accept(event)
    moves.answer(outbound(event))
    turn = recover(LAYOUT, files.killed()).turns[event.id]
    fd = files.append(LAYOUT.log(event.id))
    files.write(fd, b'\n{"of":"torn')
    moves.append(turn, sending(turn, ["a"]), durable=True)
    assert recover(LAYOUT, files.killed()).turns[event.id].parts == ("a",)


def test_a_notice_that_an_earlier_attempt_left_is_written_anew() -> None:
    files = SimFiles()
    moves, event = moves_on(files), inbound()
    notice = outbound(event, "put aside", answers=())
    moves.accept(event)
    files.close(files.create(LAYOUT.event(notice.id)))
    moves.bury(event.id, event.id, "no", event.time, notice, noticed=False)
    for cut in files.power_cuts(random.Random(0), 300):
        assert set(start_up(cut)) == {notice.id, f"dead {event.id}", ASIDE}
