"""Commands work with whatever standard streams they are given, and nothing that they write can steer a terminal."""

from __future__ import annotations

import ast
import asyncio
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agentd
from agentd import cli
from agentd.cli import BROKEN_PIPE, EXIT_CODES, main, say
from agentd.testing.gguf import chain, write_table_model
from agentd.testing.openai_server import OpenAIServer, Refusal, Stream, end, text

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\x07\x1b]52;c;AAAA"
"""What would clear a screen, set a title and the clipboard, and turn the direction of writing."""
COMMAND = [sys.executable, "-m", "agentd"]


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def redirected(streams: str, *arguments: str | bytes, **more: object) -> subprocess.CompletedProcess[bytes]:
    """The command with the standard streams as a shell redirects them."""
    shell = ["sh", "-c", f'exec "$@" {streams}', "sh", *COMMAND, *arguments]
    return subprocess.run(shell, capture_output=True, stdin=subprocess.DEVNULL, timeout=100, **more)  # type: ignore[call-overload, no-any-return]


def is_harmless(output: bytes) -> bool:
    text = output.decode()
    return not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c == "\u202e" for c in text)


@pytest.mark.parametrize(
    ("streams", "arguments", "code"),
    [
        ("<&-", ["ask", "hi"], 0),
        ("2>&-", ["ask", "hi"], 0),
        ("<&-", ["ask"], 2),
        (">&-", ["--version"], BROKEN_PIPE),
        ("0>/dev/null", ["ask", "hi"], 2),
        ("<&- >&- 2>&-", ["chat"], 0),
        (">/dev/full", ["--help"], 1),
        ("2>/dev/full", ["no-such-command"], 2),
    ],
)
def test_closed_and_broken_streams_end_in_an_exit_code(
    tmp_path: Path, streams: str, arguments: list[str], code: int
) -> None:
    done = redirected(streams, "--state-dir", str(tmp_path), *arguments)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr


def test_what_cannot_be_written_says_why() -> None:
    done = redirected(">/dev/full", "--version")
    assert done.stderr.startswith(b"agentd: ")
    assert done.stderr.endswith(f": {os.strerror(errno.ENOSPC)}.\n".encode())


def test_no_file_gets_the_descriptor_of_a_closed_stream() -> None:
    code = "from agentd.cli.say import open_streams; open_streams(); print(open('/dev/null').fileno() > 2)"
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60
    )
    assert done.stdout == b"True\n"


def test_the_time_to_read_standard_input_counts(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--state-dir", str(tmp_path), "ask", "--timeout", "0.5", "hi"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        assert b"standard input" in told and b" 0.5 s, " in told
        assert process.wait(60) == 124


def test_an_answer_that_the_output_cannot_encode_has_replacements(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Der Schlüssel 鍵 liegt im Flur.\n")
    state = ("--state-dir", str(tmp_path / "s"))
    assert redirected("", *state, "ingest", str(tmp_path / "a.md")).returncode == 0
    done = redirected("", *state, "ask", "Wo liegt der Schlüssel?", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Der Schl\xfcssel ? liegt im Flur" in done.stdout


def test_a_deleted_working_directory_matters_only_to_relative_paths(tmp_path: Path) -> None:
    gone = f'mkdir "{tmp_path}/gone" && cd "{tmp_path}/gone" && rmdir ../gone && exec "$@"'
    for arguments, code in ((["status"], 0), (["ingest", "a.md"], 2)):
        done = subprocess.run(
            ["sh", "-c", gone, "sh", *COMMAND, "--state-dir", str(tmp_path / "s"), *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=100,
            env=os.environ | {"PYTHONPATH": str(Path(agentd.__file__).parents[1])},
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        assert (b"working directory" in done.stderr) is (code == 2)


@pytest.mark.parametrize(
    "arguments",
    [
        [b"\xff"],
        [b"--\xff"],
        [b"status", b"--set", b"\xff=1"],
        [b"status", b"--set", b"model.path=\xff"],
        [b"status", b"--config", b"\xff"],
        [b"config", b"show", b"--set", b"model.remote.name=\xff"],
        [b"config", b"show", b"--json", b"--set", b"model.remote.name=\xff"],
        [b"model", b"info", b"\xff"],
        [b"model", b"use", b"/\xff.gguf"],
        [b"model", b"pull", b"/\xff.gguf"],
        [b"model", b"remove", b"\xff"],
        [b"delivery", b"show", b"\xff"],
        [b"delivery", b"list", b"--\xff"],
        [b"ask", b"\xff"],
        [b"ask", b"--session", b"\xff", b"hi"],
        [b"ask", b"--model", b"/\xff.gguf", b"hi"],
        [b"ingest", b"/\xff.md"],
        [b"run", b"--log-level", b"\xff"],
        [b"chat", b"--session", b"\xff"],
    ],
)
def test_arguments_that_are_not_utf_8_end_in_an_exit_code(
    tmp_path: Path, arguments: list[bytes], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        code = main(["--state-dir", str(tmp_path), *map(os.fsdecode, arguments)])
    output = capfd.readouterr()
    assert code in EXIT_CODES
    assert "Traceback" not in output.err and is_harmless((output.out + output.err).encode())


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["config", "check"], ["delivery", "list"]])
def test_a_state_directory_that_is_not_utf_8_is_one(
    tmp_path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", os.fsdecode(bytes(tmp_path) + b"/\xff\xfe"), *arguments]) == 0
    output = capfd.readouterr()
    assert output.err == "" and is_harmless(output.out.encode())


def test_a_hostile_name_and_title_reach_the_terminal_cleaned(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / f"{HOSTILE}.md").write_text(
        f"# Rent {HOSTILE}\n\n{HOSTILE}\nThe rent is due on the \x1b[31mthird\x1b[m day.\n"
    )
    (folder / f"{HOSTILE}.exe").write_text("x")
    (folder / os.fsdecode(b"\xff\x1b[2J.md")).write_text("# Garden\n\nThe garden is watered on Sundays.\n")
    state = ("--state-dir", str(tmp_path / "s"))
    read = redirected("", *state, "ingest", str(folder))
    assert read.returncode == 1 and b"2 added" in read.stdout
    asked = redirected("", *state, "ask", "When is the rent due?")
    assert b"third day" in asked.stdout
    other = redirected("", *state, "ask", "--output", "json", "When is the garden watered?")
    assert b"Sundays" in other.stdout
    for done in (read, asked, other):
        assert is_harmless(done.stdout) and is_harmless(done.stderr), done


def test_hostile_fields_of_a_model_file_reach_the_terminal_cleaned(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    write_table_model(file, chain("a", "b"), architecture=f"llama{HOSTILE}\nhealth  well")
    told = redirected("", "--state-dir", str(tmp_path / "s"), "model", "info", str(file))
    assert is_harmless(told.stdout) and is_harmless(told.stderr)
    assert b"\nhealth " not in told.stdout + told.stderr


@pytest.mark.parametrize(
    "replies",
    [
        [Refusal(status=400, message=f"refused {HOSTILE}")] * 4,
        [Stream(steps=[*(text(piece) for piece in f"shown {HOSTILE} shown"), end()])],
        [Stream(steps=[text("shown \x1b"), text("]0;hidden"), text(" hidden\nshown"), end()])],
    ],
)
async def test_hostile_words_of_a_server_reach_the_terminal_cleaned(
    tmp_path: Path, replies: list[Refusal | Stream]
) -> None:
    async with OpenAIServer() as server:
        server.replies += replies
        remote = ("--set", f"model.remote.base_url={server.base_url}", "--set", "model.remote.retries=0")
        state = ("--state-dir", str(tmp_path))
        done = await asyncio.to_thread(redirected, "", *state, "ask", *remote, "--no-documents", "What is new?")
        again = await asyncio.to_thread(redirected, "", *state, "ask", "--output", "json", "-c", "And when?")
    assert (b"shown" in done.stdout) is isinstance(replies[0], Stream)
    for output in (done.stdout, done.stderr, again.stdout):
        assert is_harmless(output), output
        assert b"hidden" not in output


def test_a_text_is_cleaned_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    say.say(f"a{HOSTILE}b\nc")
    say.warn("\udcff")
    say.say_json({"a": f"{HOSTILE}\ud83d"})
    output = capsys.readouterr()
    assert output.out == 'aevil\nc\n{\n  "a": "evil"\n}\n'
    assert output.err == "\ufffd\n"


def test_standard_error_that_takes_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    say.put(sys.stderr, "words", flush=True)
    with pytest.raises(say.Unwritable, match="No space left"):
        say.put(Full(), "words", flush=True)


def test_no_command_writes_past_the_one_door() -> None:
    """A terminal is written to by `say` alone, a line that waits and the prompt's own renderer excepted.

    `open` writes the file that a browser opens.
    """
    found = []
    for path in sorted(Path(cli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            prints = isinstance(called, ast.Name) and called.id == "print"
            writes = isinstance(called, ast.Attribute) and called.attr in ("write", "writelines")
            if (prints or writes) and path.name not in ("say.py",):
                found.append(f"{path.name}:{node.lineno}")
    assert [place.split(":")[0] for place in found] == ["open.py", "output.py", "output.py"], found
