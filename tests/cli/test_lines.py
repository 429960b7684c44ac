"""Plain lines: for pipes, for simple terminals, and for those who asked for them."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentd.cli.lines import read_lines
from agentd.serving import protocol
from agentd.testing.server import ScriptedServer
from tests.terminal import chat


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
async def test_a_terminal_without_colours_gets_plain_lines(tmp_path: Path, environment: dict[str, str]) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        async with chat(tmp_path, environment=environment) as terminal:
            await terminal.shows("/help lists the commands")
            terminal.enter("Hello?")
            turn = await server.next_turn()
            await turn.say("**Plain** ")
            await terminal.shows("**Plain**")
            await turn.say("\x1b[31mtext.")
            await turn.answer()
            await terminal.shows("**Plain** text.")
            terminal.enter("/quit")
            assert await terminal.ends() == 0
            assert b"\x1b" not in terminal.raw


async def test_plain_lines_on_a_terminal_say_how_long_reading_takes_and_who_answers(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        server.status |= {"model": {"name": "small", "note": "ready"}, "problems": []}
        async with chat(tmp_path, "--plain") as terminal:
            await terminal.shows("small answers (ready), from 1 document")
            terminal.enter("Hello?")
            turn = await server.next_turn()
            await turn.read(0, 2100, 42)
            await terminal.shows("reading 2,100 tokens, about 42 s")
            await turn.answer("Hello.")
            await terminal.shows("Hello.")
            terminal.enter("exit")
            assert await terminal.ends() == 0


async def test_ctrl_c_works_in_plain_lines_too(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        async with chat(tmp_path, "--plain") as terminal:
            await terminal.shows("/help lists the commands")
            terminal.enter("Count.")
            turn = await server.next_turn()
            await turn.say("One, two,")
            await terminal.shows("One, two,")
            terminal.type("\x03")
            await turn.stopped.wait()
            await turn.answer(outcome="interrupted")
            await terminal.shows("(stopped)")
            terminal.type("\x03")
            await terminal.shows("Ctrl-C again leaves")
            terminal.type("\x03")
            assert await terminal.ends() == 130


async def piped(folder: Path, text: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a chat with this input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", "--state-dir", str(folder / "state"), "chat", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "AGENTD_SOCKET": str(folder / "agentd.sock"), "TERM": "xterm-256color"},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(text.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_pipe_gets_one_answer_after_another_and_nothing_else(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        task = asyncio.create_task(piped(tmp_path, "first\\\nline\n\nsecond\n/status\n/nonsense\nlast"), name="chat")
        for text in ("first\nline", "second", "last"):
            turn = await server.next_turn()
            assert turn.text == text
            await turn.say("An ")
            await turn.answer(f"An \x1b[31manswer to {text}.", outcome="answer")
        code, out, err = await task
        assert code == 0
        assert out == "An answer to first\nline.\nAn answer to second.\nAn answer to last.\n"
        done, refused = err.splitlines()
        assert done == "done: /status"
        assert refused.startswith("agentd: ") and " /nonsense; /help " in refused


async def test_a_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntw\xffo")
    with path.open() as file:
        assert [line async for line in read_lines(file.fileno())] == ["one", "tw\ufffdo"]


async def test_the_history_and_words_of_the_program_stay_off_standard_output(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        session = server.session("old")
        now = datetime.now(UTC)
        session.history.append(protocol.HistoryMessage(turn="t", role="assistant", text="From before.", time=now))
        code, out, err = await piped(tmp_path, "", "--session", "old")
        assert (code, out, err) == (0, "", "From before.\n")


async def test_ctrl_c_at_a_question_is_a_no_in_plain_lines_too(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        server.session("holiday", title="Where to?")
        async with chat(tmp_path, "--plain") as terminal:
            await terminal.shows("/help lists the commands")
            terminal.enter("/delete holiday")
            await terminal.shows("[y/N]")
            terminal.type("\x03")
            await terminal.until(lambda: "nothing was deleted" in terminal.lines, "the no")
            terminal.enter("Hello?")
            assert (await server.next_turn()).text == "Hello?"
