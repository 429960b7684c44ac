"""`agentd ask` as a command: what goes in, what comes out, and with which exit code."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.errors import UsageError
from agentd.models.extractive import ABOUT
from agentd.records import TurnUsage
from agentd.testing.gguf import chain, write_random_model, write_table_model
from agentd.testing.openai_server import OpenAIServer, Stream
from agentd.testing.server import ScriptedServer
from tests.daemons import DaemonProcess
from tests.house import status_until
from tests.terminal import ask

DOCUMENT = """# Notes

## Rent

The rent is due on the third working day of each month.

## Garden

The garden is watered on Sundays.
"""


def agentd(state: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "agentd", *arguments, "--state-dir", str(state)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ask")
    (folder / "notes.md").write_text(DOCUMENT)
    done = agentd(folder / "state", "ingest", str(folder / "notes.md"))
    assert done.returncode == 0, done.stderr
    return folder / "state"


def test_the_answer_and_its_source_go_to_standard_output_and_nothing_else(state: Path) -> None:
    done = agentd(state, "ask", "When is the rent due?")
    assert done.returncode == 0
    assert b"third working day" in done.stdout
    assert b"[1] " in done.stdout and b"notes.md, Rent" in done.stdout
    assert done.stderr == b""


def test_standard_input_precedes_the_argument(state: Path) -> None:
    done = agentd(state, "ask", "--output", "json", "When is it due?", stdin="The rent, I mean. Grüße".encode())
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "answer" and "third working day" in answer["text"]
    alone = agentd(state, "ask", stdin=b"When is the rent due?")
    assert b"third working day" in alone.stdout


def test_json_streams_hold_every_event_of_the_turn(state: Path) -> None:
    done = agentd(state, "ask", "--output", "stream-json", "When is the rent due?")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert messages[-1]["type"] == "answer"
    assert {"documents", "chunk"} <= {message["type"] for message in messages}
    chunks = "".join(message["text"] for message in messages if message["type"] == "chunk")
    assert chunks == messages[-1]["text"]


def test_an_unanswerable_question_says_so(state: Path) -> None:
    done = agentd(state, "ask", "Who won the chess championship in Reykjavik?")
    assert done.returncode == 0 and b"do not say" in done.stdout


def test_a_model_that_takes_over_is_named_on_standard_error(state: Path) -> None:
    nobody = ("--set", "model.remote.base_url=http://127.0.0.1:9/v1", "--set", "model.remote.retries=0")
    done = agentd(state, "ask", *nobody, "When is the rent due?")
    assert done.returncode == 0 and b"third working day" in done.stdout
    assert done.stderr.startswith(b"agentd: sentences ") and b" http://127.0.0.1:9/v1 " in done.stderr


def test_a_model_that_cannot_be_loaded_is_one_line_on_standard_error(state: Path, tmp_path: Path) -> None:
    model = tmp_path / "new.gguf"
    write_table_model(model, chain("a", "b"), architecture="llama77")
    done = agentd(state, "ask", "--model", str(model), "When is the rent due?")
    assert done.returncode == 0 and b"third working day" in done.stdout
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("agentd: sentences ") and "'llama77'" in line


def test_a_session_is_continued_by_c_and_by_name(state: Path) -> None:
    first = json.loads(agentd(state, "ask", "--output", "json", "--session", "home", "When is the rent due?").stdout)
    last = json.loads(agentd(state, "ask", "--output", "json", "-c", "And the garden, when watered?").stdout)
    named = json.loads(agentd(state, "ask", "--output", "json", "--session", "home", "The rent again?").stdout)
    new = json.loads(agentd(state, "ask", "--output", "json", "The rent again?").stdout)
    assert first["session"] == last["session"] == named["session"] != new["session"]


@pytest.mark.parametrize(
    ("stdin", "arguments", "reason"),
    [
        (b"", [], b"question is empty"),
        (b"", ["   "], b"question is empty"),
        (b"caf\xe9", [], b"not UTF-8 (byte 0xe9 at offset 3)"),
        (b"x" * (1024 * 1024 + 1), [], b"longer than 1,048,576 bytes"),
        (b"", ["--output", "xml", "question"], b"invalid choice"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(
    state: Path, stdin: bytes, arguments: list[str], reason: bytes
) -> None:
    done = agentd(state, "ask", *arguments, stdin=stdin)
    assert done.returncode == 2 and reason in done.stderr and done.stdout == b""


def test_a_question_of_one_mebibyte_is_answered(state: Path) -> None:
    done = agentd(state, "ask", stdin=b"When is the rent due? " + b"and " * ((1024 * 1024 - 22) // 4))
    assert done.returncode == 0, done.stderr


async def test_two_questions_at_once_on_one_state_directory_both_get_answers(state: Path) -> None:
    async def ask() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agentd",
            "ask",
            "When is the rent due?",
            "--state-dir",
            str(state),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err
        return out

    answers = await asyncio.gather(*(ask() for _ in range(4)))
    assert all(b"third working day" in answer for answer in answers)


async def asked(state: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(agentd, state, "ask", *arguments)


async def test_an_answer_that_takes_too_long_is_found_in_the_chat(tmp_path: Path) -> None:
    gives_up = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gives_up.wait()
        writer.close()

    silent = await asyncio.start_server(connected, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/v1"
    remote = ("--set", f"model.remote.base_url={address}", "--set", "model.remote.retries=0")
    async with silent, DaemonProcess(tmp_path / "s", *remote) as daemon:
        done = await asked(tmp_path / "s", "--timeout", "2", "--set", "agent.concurrency=2", "Hello?")
        async with daemon.client() as client:
            await status_until(client, "turns", running=1)
            gives_up.set()
            await status_until(client, "pending", unanswered=0, undelivered=0)
            opened = await client.open("last", history=10)
    assert done.returncode == 124 and done.stdout == b""
    unused, late = done.stderr.decode().splitlines()
    assert "--set for agent.concurrency;" in unused
    assert late.startswith("agentd: ") and " 2 s" in late and "`agentd chat -c`" in late
    assert [line.role for line in opened.history] == ["user", "assistant"]


async def test_a_daemon_that_takes_over_answers_the_question_instead_of_the_model_that_was_named(
    tmp_path: Path,
) -> None:
    model = tmp_path / "small.gguf"
    write_random_model(model)
    never = asyncio.Event()
    async with OpenAIServer() as server:
        server.replies.append(Stream(steps=[never]))
        options = (f"model.remote.base_url={server.base_url}", "daemon.grace=0")
        asking = asyncio.create_task(
            asked(tmp_path / "s", "--model", str(model), *(word for o in options for word in ("--set", o)), "Hello?")
        )
        async with asyncio.timeout(30):
            await server.news.wait()
        async with DaemonProcess(tmp_path / "s") as daemon:
            done = await asking
            pid = daemon.process.pid
    assert done.returncode == 0 and ABOUT.encode() in done.stdout
    begin = f"agentd: a daemon runs already (pid {pid}) and has its own "
    settings, named = done.stderr.decode().splitlines()
    assert settings.startswith(f"{begin}settings") and "--set for model.remote.base_url, daemon.grace;" in settings
    assert named.startswith(f"{begin}model") and "--model;" in named and "/model" in named


def test_a_question_that_nobody_took_in_time_is_to_be_asked_again(state: Path) -> None:
    done = agentd(state, "ask", "--timeout", "0.001", "Hello?")
    assert done.returncode == 124
    assert done.stderr.count(b"\n") == 1 and b" 0.001 s" in done.stderr and b"chat -c" not in done.stderr


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "soon"])
def test_a_time_that_cannot_be_waited_is_wrong_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--timeout", seconds, "Hello?"]) == UsageError.exit_code
    assert "argument --timeout: " in capsys.readouterr().err


def test_a_question_without_quotes_gets_them_in_the_hint(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["hi", "there", "it's", "--timeout", "5"], ["--timeout", "5", "hi", "there", "it's"]):
        assert main(["ask", *words]) == UsageError.exit_code
        assert capsys.readouterr().err.endswith(""": `agentd ask 'hi there it'"'"'s'`.\n""")
    assert main(["ask", "--help"]) == 0
    assert "[question]\n" in capsys.readouterr().out


async def test_on_a_terminal_the_reading_of_the_prompt_is_shown_until_the_text_begins(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server, ask(tmp_path, "--usage", "Why?") as terminal:
        turn = await server.next_turn()
        await turn.read(0, 2100, 42)
        await terminal.shows("reading 2,100 tokens, about 42 s")
        await turn.read(800, 2100, 26)
        await terminal.shows("reading 800 of 2,100 tokens, about 26 s")
        await turn.say("Beca")
        await terminal.shows("Beca")
        await terminal.hides("reading")
        await turn.state("running", attempt=2, detail="again: small crashed")
        await terminal.shows("agentd: again: small crashed")
        turn.attempt, turn.said = 2, ""
        await turn.say("For no rea")
        await turn.answer("For no reason.", usage=TurnUsage(prompt_tokens=90, completion_tokens=4))
        assert await terminal.ends() == 0
        assert terminal.everything.split("\n") == [
            "Beca",
            "",
            "agentd: again: small crashed",
            "For no reason.",
            "90 tokens read, 4 written",
        ]


async def test_how_many_passages_a_question_is_answered_from_goes_with_it(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        for options, documents in ((["--no-documents"], 0), (["--documents", "3"], 3), ([], None)):
            async with ask(tmp_path, *options, "Why?") as terminal:
                turn = await server.next_turn()
                assert turn.post.documents == documents
                await turn.answer("Because.")
                assert await terminal.ends() == 0


@pytest.mark.parametrize("number", ["-1", "101", "many"])
def test_a_number_of_passages_that_cannot_be_is_wrong_usage(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", f"--documents={number}", "Hello?"]) == UsageError.exit_code
    assert "argument --documents: " in capsys.readouterr().err
    assert main(["ask", "--documents=1", "--no-documents", "Hello?"]) == UsageError.exit_code


def test_a_closed_pipe_ends_quietly(state: Path) -> None:
    command = f"{sys.executable} -m agentd ask 'When is the rent due?' --state-dir {state} </dev/null | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
