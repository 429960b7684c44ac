"""`agentd sessions`, beside a daemon and without one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentd.cli import main
from agentd.cli.chat import DECLINED
from agentd.clock import SystemClock
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.records import OWNER, Principal
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from tests.builders import inbound, outbound
from tests.daemons import DaemonProcess
from tests.terminal import chat

BEN = Principal(kind="user", id="1001")


async def _fill(state: Path, name: str | None, question: str, whose: Principal, owed: bool) -> str:
    async with Store(state / "agentd.db", load_migrations("agentd.storage")) as store:
        session = (await Sessions(store, IdSource(), SystemClock()).open(whose, name)).id
        asked = inbound(question, session_id=session, principal=whose)
        answer = outbound(asked, f"The answer to {question}")
        await TurnRecords(store, SystemClock()).finish([asked], answer)
    if owed:
        async with PendingDirectory(state) as pending:
            await pending.accept(asked)
            await pending.answer(answer)
    return session


def fill(state: Path, name: str | None, question: str, whose: Principal = OWNER, *, owed: bool = False) -> str:
    """A session with a question and its answer, which is still to be delivered if it is `owed`."""
    return asyncio.run(_fill(state, name, question, whose, owed))


def sessions(state: Path, *arguments: str) -> int:
    return main(["sessions", *arguments, "--state-dir", str(state)])


def told(capsys: pytest.CaptureFixture[str], state: Path, *arguments: str) -> Any:
    assert sessions(state, *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir(0o700)
    return tmp_path / "s"


def test_a_list_numbers_the_conversations_and_marks_what_waits_unread(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sessions(state, "list") == 0
    assert "no conversation yet" in capsys.readouterr().out
    old = fill(state, "diary", "Are owls nice?", owed=True)
    theirs = fill(state, None, "Where is it?", BEN)
    assert sessions(state, "list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "1" and "user 1001" in first and theirs in first and "unread" not in first
    assert second.split()[0] == "2" and "diary: Are owls nice?" in second and "2 messages, 1 unread" in second
    found = told(capsys, state, "list", "--limit", "5")["sessions"]
    assert [(one["id"], one["unread"], one["whose"]) for one in found] == [(theirs, 0, "user 1001"), (old, 1, "")]


def test_a_conversation_is_shown_by_name_number_and_id(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diary, other = fill(state, "diary", "Are owls nice?"), fill(state, None, "Where is it?")
    for reference in ("diary", "2", diary):
        assert sessions(state, "show", reference) == 0
        shown = capsys.readouterr().out
        assert "> Are owls nice?\n\nThe answer to Are owls nice?\n" in shown and diary in shown
    found = told(capsys, state, "show", "1", "--limit", "1")
    assert found["session"]["id"] == other
    assert [message["text"] for message in found["messages"]] == ["The answer to Where is it?"]
    assert sessions(state, "show", "dairy") == 1
    assert "did you mean diary?" in capsys.readouterr().err
    assert sessions(state, "show", "17") == 1
    assert "agentd sessions list" in capsys.readouterr().err


def test_words_are_searched_and_names_are_given_and_taken(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diary, other = fill(state, "diary", "Are owls nice?"), fill(state, None, "Where is it?")
    assert sessions(state, "search", "OWLS", "nice") == 0
    assert capsys.readouterr().out.startswith(f"{diary}  diary: Are owls nice?\n    ")
    assert [hit["id"] for hit in told(capsys, state, "search", "owls nice")["sessions"]] == [diary]
    assert sessions(state, "search", "unicorn") == 0
    assert capsys.readouterr().out.startswith("no conversation ")
    assert told(capsys, state, "rename", "1", "places")["id"] == other
    assert sessions(state, "rename", "places", "diary") == 2
    assert diary in capsys.readouterr().err
    assert told(capsys, state, "rename", "places", "")["name"] == ""


def test_conversations_are_deleted_without_a_question_only_if_that_is_said(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        fill(state, name, "Are owls nice?", owed=name == "one")
    assert sessions(state, "delete", "one") == 2
    assert "--yes" in capsys.readouterr().err
    assert sessions(state, "delete", "1", "nothing", "--yes") == 1
    assert len(told(capsys, state, "list")["sessions"]) == 3
    gone = told(capsys, state, "delete", "1", "one", "3", "--yes")["deleted"]
    assert sorted(one["name"] for one in gone) == ["one", "three"]
    assert [one["name"] for one in told(capsys, state, "list")["sessions"]] == ["two"]
    assert not list((state / "pending").glob("*.event")), "its answer is owed to nobody any more"


@pytest.mark.parametrize(("reply", "left"), [("y\n", 0), ("n\n", 1), ("well\nhm\n", 1)])
def test_on_a_terminal_the_person_is_asked(state: Path, reply: str, left: int) -> None:
    fill(state, "diary", "Are owls nice?")
    ours, theirs = os.openpty()
    try:
        os.write(ours, reply.encode())
        command = [sys.executable, "-m", "agentd", "sessions", "delete", "diary", "--state-dir", str(state)]
        done = subprocess.run(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False)
        assert '"diary: Are owls nice?" with 2 messages' in os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0 and done.stdout.startswith(b"nothing " if left else b"deleted: diary")


def test_an_export_goes_to_standard_output_or_to_a_new_file(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diary = fill(state, "diary", "Are owls nice?")
    assert sessions(state, "export", "diary") == 0
    assert capsys.readouterr().out.startswith("# Are owls nice?\n")
    assert sessions(state, "export", "diary", "--json") == 0
    assert json.loads(capsys.readouterr().out)["session"]["id"] == diary
    (folder := tmp_path / "out").mkdir()
    assert sessions(state, "export", "diary", str(folder)) == 0
    assert (folder / "diary.md").read_text().startswith("# Are owls nice?\n")
    assert sessions(state, "export", "diary", str(folder / "x.json")) == 0
    assert len(json.loads((folder / "x.json").read_text())["messages"]) == 2
    capsys.readouterr()
    assert sessions(state, "export", "diary", str(folder / "x.json")) == 2
    assert "name another FILE" in capsys.readouterr().err


async def test_a_chat_says_where_an_answer_waits_unread_and_how_to_open_it(tmp_path: Path) -> None:
    (state := tmp_path / "state").mkdir(0o700)
    (state / DECLINED).touch(0o600)
    await _fill(state, "diary", "Are owls nice?", OWNER, owed=True)
    await _fill(state, None, "Where is it?", BEN, owed=True)
    async with chat(tmp_path, columns=100) as terminal:
        await terminal.shows('in "diary: Are owls nice?": /resume diary opens it')
        await terminal.shows("Ctrl-D leaves")
        assert "more in /sessions" not in terminal.everything
        terminal.enter("/resume diary")
        await terminal.shows("The answer to Are owls nice?")
        terminal.type("\x04")
        assert await terminal.ends() == 0


async def test_beside_a_daemon_a_question_of_ask_is_listed_when_it_is_continued(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def agentd(*arguments: str) -> str:
        command = [sys.executable, "-m", "agentd", *arguments, "--state-dir", str(state)]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=-1)
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    async with DaemonProcess(state):
        await agentd("ask", "Are owls nice?")
        assert "no conversation yet" in await agentd("sessions", "list")
        await agentd("ask", "-c", "And wise?")
        (session,) = json.loads(await agentd("sessions", "list", "--json"))["sessions"]
        assert (session["title"], session["messages"]) == ("Are owls nice?", 4)
        assert "> And wise?" in await agentd("sessions", "show", session["id"])
        assert "# Are owls nice?" in await agentd("sessions", "export", "1")
        await agentd("sessions", "rename", "1", "owls")
        assert "deleted: owls" in await agentd("sessions", "delete", "owls", "--yes")
        assert "no conversation yet" in await agentd("sessions", "list")
