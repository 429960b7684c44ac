"""`agentd chat` with a real daemon: in its own process, attached to one, and when that one is killed."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest

from agentd.cli.chat import own_documents, suits_prompt
from tests.daemons import DaemonProcess
from tests.terminal import Terminal, chat


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
    assert "durability.md" in {page.name for page in own_documents()}


def notes(folder: Path) -> Path:
    path = folder / "notes.md"
    path.write_text("# Harbour\n\nThe ferry to Hydra leaves at 14:25 from gate E8.\n")
    return path


async def ready(terminal: Terminal) -> None:
    """Past the offer of documents, at the prompt."""
    await terminal.shows("[Y/n]")
    terminal.enter("n")
    await terminal.shows("Ctrl-D leaves")


async def test_the_first_conversation_needs_no_daemon(tmp_path: Path) -> None:
    async with chat(tmp_path) as terminal:
        await ready(terminal)
        terminal.enter(f"/docs add {notes(tmp_path)}")
        await terminal.shows("1 added")
        terminal.enter("When does the ferry to Hydra leave?")
        await terminal.shows("14:25")
        await terminal.shows("notes.md")
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
