"""Advice can be typed as it is printed, however this program was found."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.cli.advice import as_typed, program
from agentd.cli.lines import PlainDisplay
from agentd.cli.logs import PlainFormatter
from agentd.cli.output import Output
from agentd.cli.repl.pages import Pages
from agentd.cli.say import put, say, warn
from agentd.records import Citation
from agentd.serving import protocol
from tests.terminal import Terminal

ADVICE = "Add some with `agentd ingest PATH`."
CITATION = Citation(n=1, title="T", source="/a.md", start=0, end=1)


class _Screen(io.StringIO):
    """Looks like a terminal."""

    def isatty(self) -> bool:
        return True


def answer(**fields: object) -> protocol.Answer:
    values = {"id": "o", "session": "s", "turn": "t", "answers": ("t",), "outcome": "answer", "text": ADVICE, **fields}
    return protocol.Answer.model_validate(values)


async def asked(*answers: protocol.Answer) -> str:
    """What the chat shows of these answers."""
    printed: list[str] = []

    async def print_(text: str) -> None:
        printed.append(text)

    pages = Pages(print_, lambda: 200)
    for each in answers:
        pages.answered(each)
    await pages.flush()
    return "".join(printed)


async def asked_plainly(*answers: protocol.Answer) -> str:
    """What the chat in plain lines shows of these answers."""
    screen = _Screen()
    display = PlainDisplay(screen, screen)
    for each in answers:
        display.answered(each)
    return screen.getvalue()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a program in it that was called by its path, and a PATH without it."""
    script = tmp_path / "my agentd" / ".venv" / "bin" / "agentd"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "my agentd")
    monkeypatch.setattr("sys.argv", [".venv/bin/agentd", "chat"])
    return script


def test_a_program_that_is_not_on_the_path_is_named_as_it_was_called(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program() == ".venv/bin/agentd"
    assert as_typed("`agentd run`, agentd and `agentd-x`") == "`.venv/bin/agentd run`, agentd and `agentd-x`"
    monkeypatch.setattr("sys.argv", [str(checkout)])
    assert program() == f"'{checkout}'"


def test_a_program_that_the_path_leads_to_has_its_own_name(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "agentd").symlink_to(checkout)
    assert program() == "agentd"
    assert as_typed("`agentd run`") == "`agentd run`"


def test_another_program_of_that_name_on_the_path_is_not_advised(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "bin" / "agentd"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert program() == ".venv/bin/agentd"


def test_what_was_run_under_another_name_is_taken_for_installed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/x/agentd/__main__.py"])
    assert program() == "agentd"


def test_errors_are_told_with_what_can_be_typed(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "use", "smal", "--state-dir", str(tmp_path)]) != 0
    assert "`.venv/bin/agentd model list` shows the names" in capsys.readouterr().err


def test_the_words_of_agentd_can_be_typed_and_those_of_others_stay_as_they_are(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say("try `agentd run`")
    warn("try `agentd run`")
    put(sys.stdout, "the document says `agentd run`")
    written = capsys.readouterr()
    assert written.out == "try `.venv/bin/agentd run`\nthe document says `agentd run`"
    assert written.err == "try `.venv/bin/agentd run`\n"


def test_the_help_can_be_typed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "`.venv/bin/agentd config show`" in " ".join(capsys.readouterr().out.split())


def test_the_log_of_a_daemon_can_be_typed(checkout: Path) -> None:
    record = logging.LogRecord("agentd", logging.WARNING, "", 0, "choose again: `agentd model use NAME`", (), None)
    assert PlainFormatter("%(message)s").format(record) == "choose again: `.venv/bin/agentd model use NAME`"


async def test_what_a_daemon_prints_when_it_is_ready_can_be_typed(tmp_path: Path) -> None:
    script = tmp_path / "agentd"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom agentd.cli import main\nsys.exit(main())\n")
    script.chmod(0o755)
    command = [str(script), "run", "--state-dir", str(tmp_path / "s")]
    async with Terminal(command, columns=400, environment={"PATH": "/nowhere"}) as terminal:
        await terminal.shows(f"`{script} chat`")


async def test_a_failed_answer_can_be_typed(checkout: Path) -> None:
    assert "`.venv/bin/agentd ingest PATH`" in await asked(answer(outcome="error"))


@pytest.mark.parametrize("shown", [asked, asked_plainly])
async def test_an_answer_stays_as_it_is_and_how_to_type_its_commands_is_said_once_below(
    checkout: Path, shown: Callable[..., Awaitable[str]]
) -> None:
    text = await shown(answer(), answer(id="p", turn="u"))
    assert text.count("agentd ingest PATH") == 2
    assert text.count(".venv/bin/agentd") == 1


def test_an_answer_of_one_question_says_below_it_how_to_type_its_commands(checkout: Path) -> None:
    answers, words = io.StringIO(), _Screen()
    Output("text", answers, words).answer(answer())
    assert answers.getvalue() == f"{ADVICE}\n"
    assert words.getvalue().count(".venv/bin/agentd") == 1


@pytest.mark.parametrize("shown", [asked, asked_plainly])
async def test_an_answer_from_documents_needs_no_such_words(
    checkout: Path, shown: Callable[..., Awaitable[str]]
) -> None:
    assert ".venv/bin/agentd" not in await shown(answer(citations=(CITATION,)))
