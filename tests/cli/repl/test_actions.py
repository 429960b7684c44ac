"""Actions: what typed lines do to the session, the daemon and the screen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.cli.repl.actions import Actions
from agentd.cli.repl.link import Link
from agentd.cli.repl.transcript import Transcript
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.serving.protocol import MAX_TEXT_BYTES
from agentd.testing.server import ScriptedServer
from tests.builders import TIME
from tests.house import next_answer, running
from tests.recording import RecordingDisplay


class House:
    def __init__(self, server: ScriptedServer, link: Link, display: RecordingDisplay) -> None:
        self.server = server
        self.link = link
        self.shown = display.shown
        self.progress: list[str] = []
        self.settled: list[tuple[str, bool]] = []
        self.display = display
        self.actions = Actions(
            link, display, self.progress.append, lambda line, taken: self.settled.append((line, taken))
        )


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        async with await Client.connect(folder / "s", name="test") as client:
            yield client

    async with ScriptedServer(folder / "s") as server:
        display = RecordingDisplay()
        link = Link(Transcript(display), display, connect)
        await link.connect()
        await link.follow(None)
        yield House(server, link, display)
        await link.close()


async def test_commands_of_the_daemon_are_sent_as_typed_and_paths_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with house(tmp_path) as h:
        for line in ("/status", "/model", "/model a.gguf", "/model none", "/good  well done"):
            assert await h.actions.perform(line)
        assert h.server.commands == ["/status", "/model", f"/model {tmp_path}/a.gguf", "/model none", "/good well done"]
        assert h.shown == [f"note: done: {command}" for command in h.server.commands]


async def test_another_session_is_followed_when_the_daemon_says_so(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        other = h.server.session("other")
        h.server.replies["/resume other"] = protocol.CommandReply(text="going on", session=other.id)
        await h.actions.perform("/resume other")
        assert h.link.session == other.id


async def test_help_names_the_commands_and_the_keys_without_asking_the_daemon(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.actions.perform("/help")
        await h.actions.perform("/help stop")
        assert "/quit" in h.shown[0] and "Ctrl-R" in h.shown[0]
        assert h.shown[1].startswith("note: /stop\n") and h.server.commands == []


@pytest.mark.parametrize("line", ["/quit", "exit", "quit", " Exit ", "/exit"])
async def test_quit_ends_the_conversation(tmp_path: Path, line: str) -> None:
    async with house(tmp_path) as h:
        assert not await h.actions.perform(line)
        assert await h.actions.perform("//quit") and await h.actions.perform("quit smoking?")
        assert h.shown == ["asked: /quit"]


async def test_the_history_is_shown_whole_as_when_a_conversation_is_opened(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.actions.perform("/history")
        session = h.server.sessions[h.link.session]
        for n in range(3):
            session.history.append(protocol.HistoryMessage(turn=f"t{n}", role="user", text=f"Q{n}\x1b[31m", time=TIME))
            session.history.append(protocol.HistoryMessage(turn=f"t{n}", role="assistant", text=f"A{n}", time=TIME))
        await h.actions.perform("/history 2")
        await h.actions.perform("/history some")
        assert [shown.partition(": ")[0] for shown in (h.shown[0], h.shown[-1])] == ["error", "error"]
        assert "50" in h.shown[-1] and "'some'" in h.shown[-1]
        assert h.shown[1:-1] == [
            "remembered user: Q1",
            "remembered assistant: A1",
            "remembered user: Q2",
            "remembered assistant: A2",
        ]


async def test_retry_posts_what_the_daemon_says_but_not_beside_a_running_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.server.replies["/retry"] = protocol.CommandReply(ask="Why?", replaces="t1")
        await h.actions.perform("/retry")
        await h.actions.perform("/retry")
        for line in ("/edit How?", "/undo"):
            await h.actions.perform(line)
        asked, error, *others = h.shown
        assert len(others) == 2 and "/edit" in others[0] and "/undo" in others[1]
        assert asked == "asked: Why?" and error.startswith("error: ") and "/stop" in error and "/retry" in error


async def test_what_answers_take_is_shown_when_that_is_switched_on(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for line in ("/usage", "/usage on", "/usage off", "/usage maybe"):
            await h.actions.perform(line)
        assert [shown.partition(": ")[0] for shown in h.shown] == ["note", "note", "note", "error"]
        assert h.shown[0] == "note: done: /usage" and "'maybe'" in h.shown[3] and h.shown[1] != h.shown[2]


async def test_each_line_is_settled_once_it_was_taken_or_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        task = asyncio.create_task(h.link.run(), name="link")
        for line in ("/status", "/xyz", "x" * (MAX_TEXT_BYTES + 1), "//help"):
            await h.actions.perform(line)
        assert [(line[:9], taken) for line, taken in h.settled] == [
            ("/status", True),
            ("/xyz", False),
            ("x" * 9, False),
        ]
        await h.server.next_turn()
        await h.display.until(lambda: len(h.settled) == 4)
        assert h.settled[-1] == ("//help", True)
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("line", ["/history", "/status", "/docs add /tmp/a.md"])
async def test_a_command_that_the_daemon_did_not_answer_is_named(tmp_path: Path, line: str) -> None:
    async with house(tmp_path) as h:
        await h.server.die()
        for _ in range(2):
            assert await h.actions.perform(line)
            (told,) = h.shown
            assert told.startswith(f"error: {line.split()[0]} ") and "again" in told
            assert h.settled.pop() == (line, False)
            h.shown.clear()
            await h.link.close()


async def test_documents_are_read_with_progress_also_with_blanks_in_their_names(tmp_path: Path) -> None:
    (tmp_path / "my notes.md").write_text("hello")
    async with house(tmp_path) as h:
        await h.actions.perform(f"/docs add {tmp_path}/my notes.md")
        await h.actions.perform(f"/docs add '{tmp_path}/my notes.md' {tmp_path}/other.md")
        assert h.shown == [
            "note: 1 added, 0 changed, 0 removed, 0 unchanged (0 passages written)",
            "note: 2 added, 0 changed, 0 removed, 0 unchanged (0 passages written)",
        ]
        assert h.progress == ["reading 1 of 1  ", "", "reading 2 of 2  ", ""]


async def test_what_is_asked_is_answered_from_as_many_passages_as_was_said(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        task = asyncio.create_task(h.link.run(), name="link")
        for line, documents in (("/docs none", 0), ("/docs 3", 3), ("/docs all", None)):
            await h.actions.perform(line)
            await h.actions.perform("Why?")
            assert (await h.server.next_turn()).post.documents == documents
        assert any(shown.startswith("note: ") and "/docs all" in shown for shown in h.shown)
        task.cancel()
        await asyncio.wait([task])


async def test_the_count_of_documents_is_followed_by_the_limit_that_is_set_here(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for limit, told in (("all", False), ("none", True), ("3", True), ("all", False)):
            await h.actions.perform(f"/docs {limit}")
            del h.shown[:]
            await h.actions.perform("/docs")
            assert h.shown[0] == "note: done: /docs"
            assert [("/docs all" in shown) for shown in h.shown[1:]] == [True] * told


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/xyz", " /xyz"),
        ("/docs remove x", "/docs add PATH"),
        ("/docs add", "/docs add PATH"),
        ("/docs 101", "100 passages at most"),
        ("/docs add 'x", "in a shell"),
        ("x" * (MAX_TEXT_BYTES + 1), f" at most {MAX_TEXT_BYTES:,} "),
    ],
)
async def test_what_cannot_be_done_is_one_line_and_the_conversation_goes_on(
    tmp_path: Path, line: str, reason: str
) -> None:
    async with house(tmp_path) as h:
        assert await h.actions.perform(line)
        [shown] = h.shown
        assert shown.startswith("error: ") and reason in shown and "\n" not in shown


async def test_half_a_character_in_a_message_does_not_stop_it(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.actions.perform("a\udc80b")
        assert h.shown == ["asked: a\ufffdb"]


@asynccontextmanager
async def talk(folder: Path, session: str | None = "diary") -> AsyncIterator[tuple[Actions, Link, RecordingDisplay]]:
    """A chat with a real daemon, in a conversation in which something was asked."""
    async with running(folder / "state") as daemon, daemon.client() as other:
        opened = await other.open("diary")
        await other.post(opened.session, "Are owls nice?")
        await other.ack((await next_answer(other)).id)
        display = RecordingDisplay()
        link = Link(Transcript(display), display, daemon.client)
        await link.connect()
        await link.follow(session)
        keeping = asyncio.create_task(link.run(), name="connection of the chat")
        try:
            yield Actions(link, display, lambda text: None), link, display
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await link.close()


async def test_a_conversation_is_exported_to_a_new_file_that_is_nobody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with talk(tmp_path) as (actions, _, display):
        await actions.perform("/export")
        file = tmp_path / "diary.md"
        assert "Are owls nice?" in file.read_text() and file.stat().st_mode & 0o077 == 0
        await actions.perform("/export notes.json")
        assert json.loads((tmp_path / "notes.json").read_text())["messages"][0]["text"] == "Are owls nice?"
        assert [str(file) in shown for shown in display.shown[-2:]] == [True, False]
        await actions.perform("/export diary.md")
        assert display.shown[-1].startswith("error: ") and "exists already" in display.shown[-1]
        await actions.perform("/export nowhere/at/all.md")
        assert display.shown[-1].startswith("error: ") and "nowhere/at" in display.shown[-1]
        assert not (tmp_path / "nowhere").exists()
        await actions.perform("/export 'two words.md'")
        await actions.perform("/export two other words.md")
        assert (tmp_path / "two words.md").exists() and (tmp_path / "two other words.md").exists()
        await actions.perform("/export 'two' 'paths'")
        assert display.shown[-1].startswith("error: ") and "one path" in display.shown[-1]


async def test_a_conversation_is_deleted_only_after_a_yes(tmp_path: Path) -> None:
    async with talk(tmp_path) as (actions, link, display):
        session = link.session
        for answer in ("no", "/help delete"):
            await actions.perform("/delete")
            assert '"diary: Are owls nice?" with 2 questions and answers' in display.shown[-1]
            await actions.perform(answer)
            assert "note: nothing was deleted" in display.shown[-2:]
            assert link.session == session and [entry.id for entry in await link.sessions()] == [session]
        for line in ("/delete", "What is in it?", "Well, hm"):
            await actions.perform(line)
        assert display.shown[-2:] == ["note: y or n?", "note: nothing was deleted"]
        for line in ("/delete", "What is in it?", ""):
            await actions.perform(line)
        assert display.shown[-2:] == ["note: y or n?", "note: nothing was deleted"]
        await actions.perform("/delete")
        assert actions.dismiss() and not actions.dismiss()
        assert [entry.messages for entry in await link.sessions()] == [2]
        for line in ("/delete 1", "maybe", "yes"):
            await actions.perform(line)
        assert link.session != session and await link.sessions() == ()
        await actions.perform("/delete")
        assert display.shown[-1].startswith("error: nothing was asked")


async def test_a_conversation_for_one_question_is_not_listed_and_is_deleted_all_the_same(tmp_path: Path) -> None:
    async with talk(tmp_path) as (actions, link, display):
        single = (await link.client.open(None, listed=False)).session
        await link.follow(single)
        link.post("Are owls wise?")
        async with asyncio.timeout(60):
            while not (await link.one(single)).messages or not link.idle:
                pass
        assert [session.name for session in await link.sessions()] == ["diary"]
        await actions.perform("/delete")
        assert '"Are owls wise?" with 2 questions and answers' in display.shown[-1]
        await actions.perform("yes")
        assert link.session != single
        await actions.perform(f"/delete {single}")
        assert display.shown[-1].startswith("error: ")


async def test_what_somebody_else_deletes_is_told_and_a_new_conversation_begins(tmp_path: Path) -> None:
    async with talk(tmp_path) as (_, link, display):
        session = link.session
        await link.client.delete(session)
        await display.until(lambda: link.session != session)
        assert any(shown.startswith("error: ") and " deleted" in shown for shown in display.shown)


async def test_another_conversation_is_deleted_by_its_name_and_this_one_goes_on(tmp_path: Path) -> None:
    async with talk(tmp_path, None) as (actions, link, display):
        here = link.session
        await actions.perform("/delete dairy")
        assert "did you mean diary?" in display.shown[-1]
        await actions.perform("/delete diary")
        await actions.perform("Y")
        assert link.session == here and await link.sessions() == ()
