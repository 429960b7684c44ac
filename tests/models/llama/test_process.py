from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.host.limited import OOM_SCORE
from agentd.models.llama import process as process_module
from agentd.models.llama.answer import ChildDied
from agentd.models.llama.memory import BEGINNING
from agentd.models.llama.process import MODULE, Process
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.wire import ChatMessage, Count, Embed, Load, Piece
from agentd.testing.gguf import chain, write_table_model
from tests.model_house import tried

HASTY = (0.05, 4)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    with tried(tmp_path) as checks:
        yield load_of(path, checks)


def load_of(path: Path, checks: Path | None = None) -> Load:
    settings = EngineSettings(context=512, threads=1, gpu_layers=0, sequences=2, spill_bytes=0)
    return Load(file=ModelFile(path=path, checks=checks), settings=settings)


def count(number: int) -> Count:
    return Count(id=number, messages=(ChatMessage(role="user", pieces=(Piece(text="Hi", trusted=False),)),))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def open_files(pid: int) -> set[str]:
    return {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}


async def test_the_child_is_gone_when_the_block_is_left(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        assert is_running(process.pid)
    assert not is_running(process.pid) and not process.alive


async def test_the_child_gets_no_descriptor_but_its_own(load: Load, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        async with Process(beat=5, beats=12) as process:
            await process.load(load)
            assert str(tmp_path / "secret") not in open_files(process.pid)


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_the_child_has_limits_and_dies_before_the_daemon_where_memory_ends(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        limits, score = (proc(process.pid, name) for name in ("limits", "oom_score_adj"))
    told = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    assert told["Max core file size"] == ["0", "0"]
    assert told["Max open files"] == ["1024", "1024"]
    assert told["Max file size"] == [str(1 << 30)] * 2
    assert told["Max data size"][0].isdigit() and int(told["Max data size"][0]) > BEGINNING
    assert int(score) >= OOM_SCORE


async def test_a_killed_child_fails_what_was_asked_with_how_it_ended(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        os.kill(process.pid, signal.SIGSTOP)
        answer = process.ask(count(1))
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ChildDied, match=r"SIGKILL; .*out of memory"):
            await answer.next(20)
        assert "SIGKILL" in await process.ended()
        with pytest.raises(ChildDied, match="SIGKILL"):
            await process.ask(count(2)).next(0)


async def test_an_abort_of_native_code_is_named_with_its_last_words(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        os.kill(process.pid, signal.SIGABRT)
        assert "killed by SIGABRT" in await process.ended()


async def test_a_child_that_hangs_is_killed(load: Load) -> None:
    async with Process(beat=HASTY[0], beats=HASTY[1]) as process:
        await process.load(load)
        os.kill(process.pid, signal.SIGSTOP)
        how = await asyncio.wait_for(process.ended(), 60)
        assert " 0.2 s " in how and "SIG" not in how


async def test_a_child_that_answers_is_left_alone(load: Load) -> None:
    async with Process(beat=0.2, beats=15) as process:
        await process.load(load)
        for number in range(2):
            await process.ask(count(number)).next(60)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.ended(), 0.6 * 0.2 * 15)
        assert process.alive


async def test_a_child_that_dies_while_it_loads_says_so(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ChildDied, match=r"\bloaded .*SIGKILL"):
            await process.load(load)


async def test_a_model_that_cannot_be_used_is_an_error_and_no_crash(tmp_path: Path) -> None:
    async with Process(beat=5, beats=12) as process:
        with pytest.raises(ModelError, match="no model file"):
            await process.load(load_of(tmp_path / "none.gguf"))


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Level and text of what a child said."""
    lines = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == MODULE]
    assert all(line.startswith("model process ") for _, line in lines)
    return [(level, line.split(": ", 1)[1]) for level, line in lines]


async def test_native_errors_reach_the_log_as_errors(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, MODULE)
    path = tmp_path / "new.gguf"
    write_table_model(path, chain("a", "b"), architecture="llama77")
    async with Process(beat=5, beats=12) as process:
        with pytest.raises(ModelError, match="unknown model architecture"):
            await process.load(load_of(path))
        await process.ended()
    lines = told(caplog)
    assert {level for level, _ in lines} == {logging.ERROR}
    assert any(line.startswith("llama.cpp: ") and "llama77" in line for _, line in lines)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_what_llama_cpp_tells_by_the_way_is_only_there_for_who_looks_for_it(
    load: Load, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level, MODULE)
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
    levels = {line_level for line_level, line in told(caplog) if line.startswith("llama.cpp: ")}
    assert levels == ({logging.DEBUG} if level == logging.DEBUG else set())


SAYS = """
import sys
print("DEBUG d\\nINFO i\\nWARNING w\\nERROR e\\nGGML_ASSERT(x) failed\\n\\nCRITICAL c", end="", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("WARNING llama.cpp: load: control-looking token\nAMX is not ready to be used!", ""),
        ("ERROR llama.cpp: no room\nWARNING something else", " (llama.cpp: no room)"),
        ("GGML_ASSERT(x) failed\nWARNING something else\nINFO bye", " (GGML_ASSERT(x) failed)"),
        ("terminate called after throwing 'std::bad_alloc'", " (terminate called after throwing 'std::bad_alloc')"),
    ],
)
async def test_only_what_names_a_cause_is_given_as_the_reason_of_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, reason: str
) -> None:
    script = f"import os, signal, sys\nprint({lines!r}, file=sys.stderr)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    (tmp_path / "says.py").write_text(script)
    monkeypatch.setattr(process_module, "MODULE", "says")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with Process(beat=5, beats=12) as process:
        assert (await process.ended()).endswith(f" SIGSEGV{reason}")
        assert process.fault


@pytest.mark.parametrize(
    ("number", "fault", "words"),
    [
        (signal.SIGILL, True, "SIGILL: .*another processor; .*: (.* -m pip|make -C)"),
        (signal.SIGABRT, True, "SIGABRT$"),
        (signal.SIGKILL, False, "SIGKILL; often"),
        (signal.SIGTERM, False, "SIGTERM$"),
    ],
)
async def test_a_fault_of_its_own_is_told_from_an_end_that_came_from_outside(
    load: Load, number: signal.Signals, fault: bool, words: str
) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        os.kill(process.pid, number)
        assert re.search(words, await process.ended())
        assert process.fault is fault


async def test_what_an_embedding_model_does_is_not_the_fault_of_the_chat_model(load: Load) -> None:
    async with Process(beat=5, beats=12) as process:
        await process.load(load)
        os.kill(process.pid, signal.SIGSTOP)
        process.ask(Embed(id=-1, texts=("a",), urgent=True))
        os.kill(process.pid, signal.SIGSEGV)
        os.kill(process.pid, signal.SIGCONT)
        await process.ended()
        assert not process.fault


async def test_each_line_of_a_child_has_its_own_level_and_one_without_is_a_warning(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, MODULE)
    (tmp_path / "says.py").write_text(SAYS)
    monkeypatch.setattr(process_module, "MODULE", "says")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with Process(beat=5, beats=12) as process:
        assert (await process.ended()).endswith("exit code 0 (c)")
    assert told(caplog) == [
        (logging.DEBUG, "d"),
        (logging.INFO, "i"),
        (logging.WARNING, "w"),
        (logging.ERROR, "e"),
        (logging.WARNING, "GGML_ASSERT(x) failed"),
        (logging.CRITICAL, "c"),
    ]


PARENT = """
import asyncio, os, sys
from pathlib import Path
from agentd.models.llama.process import Process
from agentd.models.llama.settings import ModelFile
from agentd.models.llama.wire import Load

async def main():
    async with Process(beat=5, beats=12) as process:
        await process.load(Load(file=ModelFile(path=Path(sys.argv[1]))))
        print(process.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_child_ends_when_the_daemon_is_killed(load: Load) -> None:
    assert load.file is not None
    command = [sys.executable, "-P", "-c", PARENT, str(load.file.path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.kill()
        parent.communicate(timeout=60)
        ended, _, _ = select.select([child], [], [], 60)
        assert ended
    finally:
        os.close(child)
