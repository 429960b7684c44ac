"""What a start finds, and what it does with what is not as it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.errors import NewerVersion
from agentd.events import InboundEvent, OutboundEvent
from agentd.ids import NO_ID
from agentd.pending import PendingDirectory
from agentd.pending.file import encode_file, header_of
from tests.builders import inbound, outbound
from tests.pending_files import directory, in_pending


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[PendingDirectory]:
    async with directory(tmp_path) as found:
        yield found


async def test_an_empty_start_has_an_id_before_all_others(opened: PendingDirectory) -> None:
    assert opened.last_id == NO_ID
    assert not opened.entries()


async def test_a_file_of_a_newer_version_refuses_the_start_and_nothing_is_touched(tmp_path: Path) -> None:
    event = inbound()
    async with directory(tmp_path) as opened:
        await opened.accept(event)
    path = tmp_path / "pending" / f"{event.id}.event"
    newer = path.read_bytes().replace(b'{"v":1,', b'{"v":2,', 1)
    path.write_bytes(newer)
    (tmp_path / "pending" / "foreign").write_text("x")
    (tmp_path / "pending" / "left.tmp").write_text("x")
    before = in_pending(tmp_path)
    with pytest.raises(NewerVersion, match="version 2") as caught:
        async with directory(tmp_path):
            pass
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 78
    assert in_pending(tmp_path) == before
    assert path.read_bytes() == newer


async def test_torn_empty_and_foreign_files_are_set_aside_and_the_rest_is_answered(tmp_path: Path) -> None:
    events = [inbound() for _ in range(4)]
    async with directory(tmp_path) as opened:
        for event in events:
            await opened.accept(event)
    where = tmp_path / "pending"
    torn, empty, flipped, whole = (where / f"{event.id}.event" for event in events)
    torn.write_bytes(torn.read_bytes()[:-5])
    empty.write_bytes(b"")
    flipped.write_bytes(flipped.read_bytes().replace(b'"test"', b'"tess"', 1))
    (where / "notes.txt").write_text("mine")
    (where / b"\xff\n".decode(errors="surrogateescape")).write_text("odd")
    (where / "folder").mkdir()
    (where / "folder" / "inside").write_text("kept")
    (where / f"{inbound().id}.event").symlink_to("/etc/passwd")
    os.mkfifo(where / f"{inbound().id}.event")
    (where / f"{inbound().id}.event").write_bytes(whole.read_bytes())
    async with directory(tmp_path) as opened:
        assert list(opened.entries()) == [events[3].id]
        assert len(opened.set_aside) == 9
    assert len(os.listdir(tmp_path / "corrupt")) == 9
    assert (tmp_path / "corrupt" / "folder" / "inside").read_text() == "kept"
    assert in_pending(tmp_path) == [whole.name]


DRIVER = """
import asyncio, sys
from pathlib import Path
from agentd.pending import PendingDirectory
from tests.builders import inbound, outbound

async def turn(opened, n):
    while True:
        event = inbound()
        await opened.accept(event)
        print("accepted", event.id, flush=True)
        answer = outbound(event)
        await opened.answer(answer)
        print("answered", event.id, flush=True)
        if n % 2:
            await opened.ack(event.id)
            print("acked", event.id, flush=True)

async def main():
    async with PendingDirectory(Path(sys.argv[1]), min_free_bytes=0) as opened:
        await asyncio.gather(*(turn(opened, n) for n in range(8)))

asyncio.run(main())
"""


def drive_and_kill(state_dir: Path) -> list[list[str]]:
    """What a process that makes moves said before it was killed in the middle of them."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER, state_dir], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline().split() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    said += [words for line in process.stdout.read().splitlines() if len(words := line.split()) == 2]
    process.wait(10)
    process.stdout.close()
    return said


async def test_what_a_killed_process_was_told_is_there(tmp_path: Path) -> None:
    said = drive_and_kill(tmp_path)
    told = Counter(turn_id for _, turn_id in said)
    acked = {turn_id for word, turn_id in said if word == "acked"}
    async with directory(tmp_path) as opened:
        entries = opened.entries()
        lost = [turn_id for turn_id in told.keys() - acked if turn_id not in entries]
        # An ack may have reached the disk before it could be told; those are at most one for each turn at work.
        assert len(lost) <= 4
        assert all(told[turn_id] == 2 for turn_id in lost)
        assert not acked & entries.keys()
        for turn_id in entries:
            event = await opened.load(turn_id)
            assert told[turn_id] < 2 or event.type == "outbound"
        assert len(opened.set_aside) <= 8


# --- what is left of moves that were cut off ---


def lay(path: Path, *events: InboundEvent | OutboundEvent) -> Path:
    """Files as an earlier process would have left them."""
    (path / "pending").mkdir(exist_ok=True)
    for event in events:
        (path / "pending" / f"{header_of(event).name}.event").write_bytes(encode_file(event))
    return path / "pending"


async def test_questions_that_a_durable_answer_lists_are_answered(tmp_path: Path) -> None:
    one, two, three = inbound("one"), inbound("two"), inbound("three")
    lay(tmp_path, one, three, outbound(two, answers=(one.id, two.id)))
    async with directory(tmp_path) as opened:
        assert list(opened.entries()) == [two.id, three.id]


async def test_an_answer_is_never_taken_away_because_another_lists_its_turn(tmp_path: Path) -> None:
    one, two = inbound("one"), inbound("two")
    lay(tmp_path, outbound(one), outbound(two, answers=(one.id, two.id)))
    async with directory(tmp_path) as opened:
        assert list(opened.entries()) == [one.id, two.id]


async def test_what_is_in_both_places_is_dead(tmp_path: Path) -> None:
    event = inbound()
    answer = outbound(event)
    where = lay(tmp_path, answer)
    (tmp_path / "dead").mkdir()
    os.link(where / f"{event.id}.event", tmp_path / "dead" / f"{answer.id}.event")
    async with directory(tmp_path) as opened:
        assert not opened.entries()
        assert [letter.id for letter in await opened.dead()] == [answer.id]
        assert opened.last_id == answer.id
    assert in_pending(tmp_path) == []


async def test_of_two_questions_with_one_key_the_refused_one_goes(tmp_path: Path) -> None:
    refused, accepted = inbound(dedupe_key="k"), inbound(dedupe_key="k")
    lay(tmp_path, refused, accepted)
    async with directory(tmp_path) as opened:
        assert list(opened.entries()) == [accepted.id]
        assert opened.set_aside == (f"{refused.id}.event",)


async def test_leftovers_are_removed(tmp_path: Path) -> None:
    event = inbound()
    where = lay(tmp_path, event)
    (where / f"{event.id}.3.tmp").write_bytes(b"half")
    (where / f"{inbound().id}.log").write_bytes(b"")
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / f"{inbound().id}.log").write_bytes(b"")
    async with directory(tmp_path) as opened:
        assert list(opened.entries()) == [event.id]
    assert in_pending(tmp_path) == [f"{event.id}.event"]
    assert os.listdir(tmp_path / "dead") == []


async def test_the_log_of_a_damaged_event_is_kept_beside_it(tmp_path: Path) -> None:
    event = inbound()
    where = lay(tmp_path, event)
    (where / f"{event.id}.event").write_bytes(b"")
    (where / f"{event.id}.log").write_bytes(b"log")
    async with directory(tmp_path):
        pass
    assert sorted(os.listdir(tmp_path / "corrupt")) == [f"{event.id}.event", f"{event.id}.log"]


async def test_what_is_set_aside_takes_no_place_that_is_taken(tmp_path: Path) -> None:
    for content in ("one", "two"):
        (lay(tmp_path) / "foreign").write_text(content)
        async with directory(tmp_path):
            pass
    assert (tmp_path / "corrupt" / "foreign").read_text() == "one"
    assert (tmp_path / "corrupt" / "foreign.1").read_text() == "two"


async def test_the_greatest_id_counts_also_when_it_is_an_answers(tmp_path: Path) -> None:
    event = inbound()
    answer = outbound(event)
    lay(tmp_path, answer)
    async with directory(tmp_path) as opened:
        assert opened.last_id == answer.id
