"""What a start finds, and what it does with what is not as it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.errors import NewerVersion, StateError, Unreadable
from agentd.events import InboundEvent, OutboundEvent, encode
from agentd.ids import NO_ID, following
from agentd.pending import PendingDirectory
from agentd.pending.file import encode_file, header_of, seal
from agentd.pending.log import LogLine, encode_line
from tests.builders import inbound, outbound
from tests.pending_files import directory, in_pending, sealed
from tests.unfinished import unfinished


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[PendingDirectory]:
    async with directory(tmp_path) as found:
        yield found


async def test_an_empty_start_has_an_id_before_all_others(opened: PendingDirectory) -> None:
    assert opened.last_id == NO_ID
    assert not await unfinished(opened)


async def test_a_file_of_a_newer_version_refuses_the_start_and_nothing_is_touched(tmp_path: Path) -> None:
    event = inbound()
    async with directory(tmp_path) as opened:
        await opened.accept(event)
    path = tmp_path / "pending" / f"{event.id}.event"
    newer = seal({"v": 3, "what": "ever"}) + b"\n"
    path.write_bytes(newer)
    (tmp_path / "pending" / "foreign").write_text("x")
    (tmp_path / "pending" / f"{event.id}.1.tmp").write_text("x")
    before = in_pending(tmp_path)
    with pytest.raises(NewerVersion, match="version 3") as caught:
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
        assert list(await unfinished(opened)) == [events[3].id]
        assert len(opened.aside) == 9
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
        turns = await unfinished(opened)
        lost = [turn_id for turn_id in told.keys() - acked if turn_id not in turns]
        # An ack may have reached the disk before it could be told; those are at most one for each turn at work.
        assert len(lost) <= 4
        assert all(told[turn_id] == 2 for turn_id in lost)
        assert not acked & turns.keys()
        for turn_id in turns:
            event = await opened.load(turn_id)
            assert told[turn_id] < 2 or event.type == "outbound"
        assert len(opened.aside) <= 8


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
        assert list(await unfinished(opened)) == [two.id, three.id]


async def test_an_answer_is_never_taken_away_because_another_lists_its_turn(tmp_path: Path) -> None:
    one, two = inbound("one"), inbound("two")
    lay(tmp_path, outbound(one), outbound(two, answers=(one.id, two.id)))
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [one.id, two.id]


async def test_what_is_in_both_places_is_dead(tmp_path: Path) -> None:
    event = inbound()
    answer = outbound(event)
    where = lay(tmp_path, answer)
    (tmp_path / "dead").mkdir()
    os.link(where / f"{event.id}.event", tmp_path / "dead" / f"{answer.id}.event")
    async with directory(tmp_path) as opened:
        assert not await unfinished(opened)
        assert [letter.id for letter in await opened.dead()] == [answer.id]
        assert opened.last_id == answer.id
    assert in_pending(tmp_path) == []


async def test_of_two_questions_with_one_key_the_refused_one_goes(tmp_path: Path) -> None:
    refused, accepted = inbound(dedupe_key="k"), inbound(dedupe_key="k")
    lay(tmp_path, refused, accepted)
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [accepted.id]
        assert opened.aside == (f"{refused.id}.event",)


async def test_leftovers_are_removed(tmp_path: Path) -> None:
    event = inbound()
    where = lay(tmp_path, event)
    (where / f"{event.id}.3.tmp").write_bytes(b"half")
    (where / f"{inbound().id}.log").write_bytes(b"")
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / f"{inbound().id}.log").write_bytes(b"")
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
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


# --- one bad file harms itself alone ---


LINES: dict[str, LogLine] = {
    "without a field": {"line": "started"},
    "a word for a number": {"line": "part", "n": "1"},
    "no time": {"line": "deferred", "until": "yesterday", "attempt": 1, "error": "x"},
    "a time without a zone": {"line": "deferred", "until": "2026-01-01T00:00:00", "attempt": 1, "error": "x"},
    "half a character": {"line": "deferred", "until": None, "attempt": 1, "error": "\ud83d"},
    "a count that no file has": {"line": "deferred", "until": None, "attempt": 10**30, "error": "x"},
    "parts that are no texts": {"line": "sending", "parts": [["a"]]},
    "a kind that is a list": {"line": ["started"]},
}
BAD: dict[str, Callable[[Path], object]] = {
    "a digit of the version flipped": lambda path: path.write_bytes(
        encode_file(inbound(id=path.stem)).replace(b'{"v":2', b'{"v":9', 1)
    ),
    "a list for an address": lambda path: path.write_bytes(sealed(inbound(id=path.stem), address=["a", "b", "c", ""])),
    "no address": lambda path: path.write_bytes(sealed(inbound(id=path.stem), address=None)),
    "an answer of the kind of a question": lambda path: path.write_bytes(sealed(inbound(id=path.stem), answers=[])),
    "a list for the session": lambda path: path.write_bytes(sealed(inbound(id=path.stem), session=[1])),
    "a list for the key": lambda path: path.write_bytes(sealed(inbound(id=path.stem), key=[1])),
    "a list in the address": lambda path: path.write_bytes(
        sealed(inbound(id=path.stem), address={"channel": "a", "account": [1], "chat": "c"})
    ),
    "half a character": lambda path: path.write_bytes(sealed(inbound(id=path.stem), session="\ud83d")),
    "an unknown kind": lambda path: path.write_bytes(sealed(inbound(id=path.stem), kind="other")),
    "a number of answers": lambda path: path.write_bytes(sealed(inbound(id=path.stem), kind="answer", answers=5)),
    "a directory": Path.mkdir,
    "a directory with a file": lambda path: full_directory(path),
    "a FIFO": os.mkfifo,
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a hole of a gigabyte": lambda path: hole(path),
    "no right to read": lambda path: closed(path),
}


def full_directory(path: Path) -> None:
    path.mkdir()
    (path / "a").write_text("a")


def hole(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def closed(path: Path) -> None:
    path.write_bytes(encode_file(inbound(id=path.stem)))
    path.chmod(0)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)


def fresh(tmp_path: Path) -> tuple[InboundEvent, Path, Path]:
    """A question that is pending, and the two directories."""
    event = inbound()
    pending = lay(tmp_path, event)
    (tmp_path / "dead").mkdir()
    return event, pending, tmp_path / "dead"


@pytest.mark.parametrize("where", ["pending", "dead"])
@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_file_is_set_aside_and_the_rest_goes_on(tmp_path: Path, kind: str, where: str) -> None:
    event, *_ = fresh(tmp_path)
    bad = tmp_path / where / f"{inbound().id}.event"
    BAD[kind](bad)
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
        assert list(await opened.corrupt()) == [bad.name]
        assert await opened.dead() == []


@pytest.mark.parametrize("where", ["pending", "dead"])
async def test_only_a_sealed_version_is_a_newer_one(tmp_path: Path, where: str) -> None:
    event, *_ = fresh(tmp_path)
    (tmp_path / where / f"{inbound().id}.event").write_bytes(seal({"v": 3}) + b"\n")
    opened = directory(tmp_path)
    if where == "pending":
        with pytest.raises(NewerVersion):
            await opened.__aenter__()
    else:
        async with opened:
            assert list(await unfinished(opened)) == [event.id]
            assert not await opened.corrupt()


@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a link", "a hole of a gigabyte"])
async def test_a_bad_log_is_set_aside_and_its_event_goes_on(tmp_path: Path, kind: str) -> None:
    event, pending, dead = fresh(tmp_path)
    given_up = inbound()
    (dead / f"{given_up.id}.event").write_bytes(encode_file(given_up))
    orphan = inbound().id
    for path in (pending / f"{event.id}.log", dead / f"{given_up.id}.log", pending / f"{orphan}.log"):
        BAD[kind](path)
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
        await opened.started(event.id, alone=False)
        assert [letter.id for letter in await opened.dead()] == [given_up.id]
    async with directory(tmp_path) as opened:
        assert (await unfinished(opened))[event.id].starts == 1


@pytest.mark.parametrize("kind", LINES)
async def test_a_line_of_another_form_is_left_out(tmp_path: Path, kind: str) -> None:
    event, pending, dead = fresh(tmp_path)
    (pending / f"{event.id}.log").write_bytes(
        encode_line({"of": event.id, **LINES[kind]}) + encode_line({"of": event.id, "line": "started", "alone": False})
    )
    given_up = inbound()
    (dead / f"{given_up.id}.event").write_bytes(encode_file(given_up))
    (dead / f"{given_up.id}.log").write_bytes(
        encode_line({"of": given_up.id, **LINES[kind]})
        + encode_line({"of": given_up.id, "line": "buried", "reason": "r", "time": "never"})
    )
    async with directory(tmp_path) as opened:
        assert replace((await unfinished(opened))[event.id], starts=0, running=False) == header_of(event).turn()
        assert (await unfinished(opened))[event.id].starts == 1
        [letter] = await opened.dead()
        assert (letter.id, letter.time) == (given_up.id, None)


@pytest.mark.parametrize("content", ["", "another", "directory"])
async def test_what_only_has_the_name_of_a_dead_letter_takes_nothing_away(tmp_path: Path, content: str) -> None:
    event, _, dead = fresh(tmp_path)
    path = dead / f"{event.id}.event"
    if content == "directory":
        path.mkdir()
    else:
        path.write_bytes(encode_file(inbound("another", id=event.id)) if content else b"")
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
        assert list(await opened.corrupt()) == [path.name]


async def test_a_body_that_is_no_event_is_set_aside_when_it_is_due_and_its_sender_is_told(tmp_path: Path) -> None:
    fresh(tmp_path)
    bodies = (b"hello", b"[]", b'{"type":"turn_finished"}', encode(inbound()).replace(b"{", b'{"new":1,', 1))
    events = [inbound() for _ in bodies]
    for event, body in zip(events, bodies, strict=True):
        (tmp_path / "pending" / f"{event.id}.event").write_bytes(sealed(event, body))
    async with directory(tmp_path) as opened:
        for event in events:
            with pytest.raises(Unreadable):
                await opened.load(event.id)
            await opened.set_aside(event.id, "why")
            told = await opened.load(following(event.id))
            assert isinstance(told, OutboundEvent)
            assert (told.address, told.session_id, told.answers) == (event.address, event.session_id, ())
            assert told.text.startswith("Your message could not") and "not answered" in told.text
        assert len(await opened.corrupt()) == 4
    async with directory(tmp_path) as opened:
        assert len(await unfinished(opened)) == 5


@pytest.mark.parametrize("damage", ["header", "body", "cut"])
async def test_the_sender_of_a_lost_message_is_told_once(tmp_path: Path, damage: str) -> None:
    asked, answered = inbound(), inbound()
    for event in (asked, outbound(answered)):
        [path] = [lay(tmp_path, event) / f"{header_of(event).name}.event"]
        data = path.read_bytes()
        flipped = {
            "header": data.replace(b'{"v":2', b'{"v":3', 1),
            "body": data.replace(b'"text":"h', b'"text":"j', 1),
            "cut": data[:-7],
        }
        path.write_bytes(flipped[damage])
    for _ in range(2):
        async with directory(tmp_path) as opened:
            await opened.tell_lost()
            told = [await opened.load(name) for name in await unfinished(opened)]
            assert [event.text.partition(" could")[0] for event in told] == [
                "Your message",
                "The answer to your message",
            ]
            assert all(event.address == asked.address for event in told)


async def test_a_file_that_vanished_is_told_as_well(tmp_path: Path) -> None:
    event, pending, _ = fresh(tmp_path)
    async with directory(tmp_path) as opened:
        (pending / f"{event.id}.event").unlink()
        with pytest.raises(Unreadable, match="No such file"):
            await opened.load(event.id)
        await opened.set_aside(event.id, "it is gone")
        assert list(await unfinished(opened)) == [following(event.id)]


async def test_names_that_nobody_can_read_are_set_aside(tmp_path: Path) -> None:
    event, pending, _ = fresh(tmp_path)
    raw = [b"\xff\xfe.event", b"..event", b"a\nb\x1b[31m.event", b".hidden", b"x" * 255, b"mine.tmp"]
    names = [pending / os.fsdecode(name) for name in raw]
    for _ in range(2):
        for name in names:
            name.write_text("x")
        async with directory(tmp_path) as opened:
            assert list(await unfinished(opened)) == [event.id]
    assert len(os.listdir(tmp_path / "corrupt")) == 2 * len(names)


async def test_a_flood_of_foreign_files_is_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    event, pending, _ = fresh(tmp_path)
    for n in range(500):
        (pending / f"junk {n}").touch()
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
    assert len(caplog.records) < 60
    assert "450 more files" in caplog.text


async def test_an_id_that_leaves_no_room_for_later_ones_is_not_one_of_ours(tmp_path: Path) -> None:
    event, *_ = fresh(tmp_path)
    for where in ("pending", "dead"):
        (tmp_path / where / "ffffffffffffffff-00000000.event").write_bytes(encode_file(event))
    async with directory(tmp_path) as opened:
        assert opened.last_id == event.id
        assert len(await opened.corrupt()) == 2


async def test_what_lies_in_the_place_of_corrupt_keeps_its_content(tmp_path: Path) -> None:
    event, pending, _ = fresh(tmp_path)
    (tmp_path / "corrupt").write_text("mine")
    (pending / "foreign").touch()
    async with directory(tmp_path) as opened:
        assert list(await unfinished(opened)) == [event.id]
        assert list(await opened.corrupt()) == ["foreign"]
    assert (tmp_path / "corrupt.1").read_text() == "mine"


def linked(tmp_path: Path, name: str) -> Path:
    """A directory of somebody, with a file, to which a link in the state directory leads."""
    theirs, state = tmp_path / "theirs", tmp_path / "state"
    theirs.mkdir(mode=0o755)
    (theirs / "letter.txt").write_text("theirs")
    state.mkdir()
    (state / name).symlink_to(theirs)
    return state


def is_untouched(theirs: Path) -> bool:
    return theirs.stat().st_mode & 0o777 == 0o755 and os.listdir(theirs) == ["letter.txt"]


@pytest.mark.parametrize("name", ["pending", "dead"])
async def test_a_link_in_the_place_of_a_directory_refuses_the_start(tmp_path: Path, name: str) -> None:
    state = linked(tmp_path, name)
    with pytest.raises(StateError, match=f"{state}/{name} is a link"):
        async with directory(state):
            pass
    assert is_untouched(tmp_path / "theirs")
    assert os.listdir(state) == [name]


async def test_a_link_in_the_place_of_corrupt_is_kept_under_another_name(tmp_path: Path) -> None:
    state = linked(tmp_path, "corrupt")
    (lay(state) / "foreign").touch()
    async with directory(state) as opened:
        assert list(await opened.corrupt()) == ["foreign"]
    assert is_untouched(tmp_path / "theirs")
    assert (state / "corrupt.1").readlink() == tmp_path / "theirs"


# --- memory ---


WEIGHED = """
import asyncio, sys
from pathlib import Path
from agentd.pending import PendingDirectory

def kib(what):
    return int(Path("/proc/self/status").read_text().partition(what)[2].split()[0])

async def main():
    before = kib("VmRSS:")
    async with PendingDirectory(Path(sys.argv[1]), min_free_bytes=0) as opened:
        print(len(await opened.unanswered()), len(await opened.dead()), (kib("VmHWM:") - before) // 1024)

asyncio.run(main())
"""
MIB = 1024 * 1024
HEAVY: dict[str, Callable[[], bytes]] = {
    "one line": lambda: b"hello world " * (60 * MIB // 12),
    "numbers below a torn header": lambda: b'x\n{"type":"inbound","x":[' + b"0," * (6 * MIB) + b"0]}",
    "lists in an event that is cut": lambda: encode_file(inbound())[:-1] + b',"x":[' + b"[]," * (4 * MIB) + b"0]}",
    "short lines": lambda: b"\nx" * (10 * MIB),
    "more than a file of ours": lambda: b"\n" * (65 * MIB),
}


@pytest.mark.parametrize("kind", HEAVY)
def test_a_start_needs_little_memory_whatever_lies_there(tmp_path: Path, kind: str) -> None:
    event, pending, dead = fresh(tmp_path)
    given_up = inbound()
    (dead / f"{given_up.id}.event").write_bytes(encode_file(given_up))
    heavy = pending / f"{inbound().id}.event"
    heavy.write_bytes(HEAVY[kind]())
    for path in (dead / heavy.name, pending / f"{event.id}.log", dead / f"{given_up.id}.log"):
        os.link(heavy, path)
    ran = subprocess.run([sys.executable, "-c", WEIGHED, tmp_path], stdout=subprocess.PIPE, text=True, check=True)
    turns, letters, grown = map(int, ran.stdout.split())
    assert (turns, letters) == (1, 1)
    assert grown < 150
    assert heavy.name in os.listdir(tmp_path / "corrupt")
