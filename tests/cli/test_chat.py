"""`agentd chat` with a real daemon: in its own process, attached to one, and when that one is killed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest

from agentd.cli.chat import own_documents, suits_prompt
from agentd.testing.gguf import write_random_model
from tests.daemons import DEADLINE, DaemonProcess
from tests.house import status_until
from tests.terminal import Terminal, chat
from tests.whole.test_llama_daemon import child_of


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "suits"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm"}, False, False),
    ],
)
def test_the_prompt_needs_a_person_and_a_terminal_with_colours(
    environment: dict[str, str], terminal: bool, suits: bool
) -> None:
    assert suits_prompt(environment, _Tty(), _Tty() if terminal else io.StringIO()) is suits


def test_the_documents_of_agentd_itself_are_there() -> None:
    assert {"durability.md", "README.md"} <= {page.name for page in own_documents()}


def notes(folder: Path) -> Path:
    path = folder / "notes.md"
    path.write_text("# Harbour\n\nThe ferry to Hydra leaves at 14:25 from gate E8.\n")
    return path


async def ready(terminal: Terminal) -> None:
    """Past the offer of documents, which is made once, at the prompt."""
    await terminal.shows("[Y/n]")
    terminal.enter("n")
    await terminal.shows("Ctrl-D leaves")


async def test_who_said_no_to_the_first_documents_is_not_asked_again(tmp_path: Path) -> None:
    async with chat(tmp_path, columns=120) as terminal:
        await ready(terminal)
        await terminal.shows("/docs add PATH reads your own documents.")
        await terminal.shows("no language model is chosen: answers are sentences of your documents, and there are none")
        terminal.enter("exit")
        assert await terminal.ends() == 0
    async with chat(tmp_path) as terminal:
        await terminal.shows("Ctrl-D leaves")
        assert "[Y/n]" not in terminal.everything


async def test_what_is_neither_yes_nor_no_is_asked_once_more_and_then_a_no(tmp_path: Path) -> None:
    async with chat(tmp_path) as terminal:
        await terminal.shows("[Y/n]")
        terminal.enter("What can you do?")
        await terminal.shows("y or n?")
        terminal.enter("Hello?")
        await terminal.shows("/docs add PATH reads your own documents.")
        await terminal.shows("Ctrl-D leaves")


async def test_who_only_left_is_asked_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with chat(tmp_path) as terminal:
            await terminal.shows("[Y/n]")
            terminal.type("\x04")
            await terminal.shows("/docs add PATH reads your own documents.")


async def test_the_first_conversation_needs_no_daemon(tmp_path: Path) -> None:
    async with chat(tmp_path) as terminal:
        await ready(terminal)
        assert "no daemon runs" in terminal.everything
        terminal.enter(f"/docs add {notes(tmp_path)}")
        await terminal.shows("1 added")
        terminal.enter("When does the ferry to Hydra leave?")
        await terminal.shows("14:25")
        await terminal.until(lambda: "notes.md" in "".join(map(str.strip, terminal.lines)), "a path of several lines")
        terminal.enter("/good")
        await terminal.shows("marked as good")
        terminal.enter("/sessions")
        await terminal.shows("* 1  When does the ferry")
        terminal.type("\x04")
        assert await terminal.ends() == 0


async def test_own_documents_are_offered_first(tmp_path: Path) -> None:
    async with chat(tmp_path) as terminal:
        await terminal.shows("[Y/n]")
        terminal.enter("")
        await terminal.has_printed("added, 0 changed")
        await terminal.shows("Ctrl-D leaves")
        terminal.enter("What happens to a message when the daemon is killed?")
        await terminal.shows("[1]")
        terminal.type("\x04")
        assert await terminal.ends() == 0


async def test_a_daemon_that_is_killed_and_started_again_is_reached_again(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path / "state") as daemon, chat(tmp_path) as terminal:
        await ready(terminal)
        assert f"a daemon runs (pid {daemon.process.pid})" in terminal.everything
        terminal.enter(f"/docs add {notes(tmp_path)}")
        await terminal.shows("1 added")
        await daemon.end(signal.SIGKILL)
        await terminal.shows("reconnecting…")
        terminal.enter("When does the ferry to Hydra leave?")
        await terminal.shows("what you typed is kept")
        await daemon.start()
        await terminal.shows("14:25")
        await terminal.shows("connected again")
        assert terminal.everything.count("> When does the ferry") == 1
        terminal.type("\x04")
        assert await terminal.ends() == 0


async def test_where_no_daemon_comes_back_the_chat_runs_one_itself(
    tmp_path: Path,
) -> None:
    async with DaemonProcess(tmp_path / "state") as daemon, chat(tmp_path) as terminal:
        await ready(terminal)
        terminal.enter(f"/docs add {notes(tmp_path)}")
        await terminal.shows("1 added")
        await daemon.end(signal.SIGKILL)
        await terminal.shows("connected again")
        terminal.enter("/status")
        await terminal.shows("in this process")
        terminal.enter("When does the ferry to Hydra leave?")
        await terminal.shows("14:25")
        terminal.type("\x04")
        assert await terminal.ends() == 0


def dying(folder: Path, at: str = "turn") -> DaemonProcess:
    """A daemon whose turns never end by themselves, or with `at` "" one that answers."""
    environment = {"DYING_COUNT": str(folder / "count"), "DYING_AT": at}
    return DaemonProcess(folder / "state", program="tests.dying_daemon", environment=environment)


async def until_asked(folder: Path, count: int) -> None:
    asked = folder / "count"
    async with asyncio.timeout(DEADLINE):
        while not asked.exists() or len(asked.read_text().splitlines()) < count:  # noqa: ASYNC110 (written elsewhere)
            await asyncio.sleep(0.005)


async def test_what_is_retried_is_answered_in_the_chat_that_saw_it_put_aside_and_in_one_opened_since(
    tmp_path: Path,
) -> None:
    async with dying(tmp_path) as daemon, chat(tmp_path, "--session", "work") as terminal:
        await ready(terminal)
        terminal.enter("Why?")
        for life in range(1, 5):
            await until_asked(tmp_path, life)
            if life < 4:
                await daemon.end(signal.SIGKILL)
                await daemon.start()
        await daemon.end(signal.SIGKILL)
        async with dying(tmp_path, at="") as last, last.client() as client, chat(tmp_path, "-c") as second:
            await terminal.has_printed("was put aside")
            await second.shows("Ctrl-D leaves")
            await second.has_printed("was put aside")
            await status_until(client, "pending", unanswered=0, undelivered=0, dead=1)
            await client.retry(older_than=0)
            for seen in (terminal, second):
                await seen.has_printed("You said: Why?")
                assert seen.everything.count("You said: Why?") == 1
                assert seen.everything.count("was put aside") == 1


async def test_the_latest_conversation_is_the_one_that_was_asked_last_also_after_a_kill(tmp_path: Path) -> None:
    async with dying(tmp_path, at="") as daemon, daemon.client() as client:
        earlier = await client.open(None)
        await client.post(earlier.session, "An earlier one?")
        await status_until(client, "pending", unanswered=0)
    (tmp_path / "count").unlink()
    async with dying(tmp_path) as daemon, chat(tmp_path) as terminal:
        await ready(terminal)
        terminal.enter("Why?")
        await until_asked(tmp_path, 1)
        await daemon.end(signal.SIGKILL)
    async with dying(tmp_path), chat(tmp_path, "-c") as terminal:
        await terminal.has_printed("a conversation without an answer yet")
        await terminal.shows("You said:")
        assert "You said: An earlier one?" not in terminal.everything


async def test_what_a_daemon_in_the_chat_logs_stands_above_the_prompt(tmp_path: Path) -> None:
    model = tmp_path / "small.gguf"
    write_random_model(model)
    async with chat(tmp_path, "--model", str(model), columns=200) as terminal:
        await ready(terminal)
        terminal.enter("/model")
        await terminal.shows("small")
        terminal.type("half a question")
        await terminal.shows("> half a question")
        os.kill(child_of(terminal.process.pid), signal.SIGKILL)
        await terminal.shows("agentd: the process of model small is gone:")
        await terminal.until(lambda: terminal.everything.split("\n")[-1] == "> half a question", "the prompt below it")
        assert any(line.startswith("agentd: the process") for line in terminal.lines)
