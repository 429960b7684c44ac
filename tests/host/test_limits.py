"""Each limit is hit by a real child; what the child says and how it ends is what a caller sees."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.host.limited import OOM_SCORE
from agentd.host.limits import THREADS_WAIT, ChildLimits, Crashed, child_environment, end, how_it_ended, result, start

SECONDS = 60.0
NARROW = ChildLimits(memory=256 << 20, processor=20)

Program = Callable[[str], str]
"""Makes a module of a text; its name."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    def write(text: str) -> str:
        (tmp_path / "child_of_a_test.py").write_text(text)
        return "child_of_a_test"

    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")
    return write


async def says(module: str, *arguments: str, limits: ChildLimits = NARROW, data: bytes = b"", most: int = 1000) -> str:
    return (await result(module, arguments, limits, data=data, seconds=SECONDS, most=most)).decode().strip()


async def test_a_child_reads_its_input_and_arguments_and_says_its_result(program: Program) -> None:
    module = program("import sys; print(len(sys.stdin.buffer.read()), *sys.argv[1:])")
    assert await says(module, "a", "b", data=bytes(1 << 20)) == "1048576 a b"


async def test_a_child_need_not_read_what_it_is_given(program: Program) -> None:
    assert await says(program("print('enough')"), data=bytes(1 << 22)) == "enough"


async def test_memory_that_a_child_has_for_itself_is_bounded(program: Program) -> None:
    with pytest.raises(Crashed, match=r"\(268 MB\)"):
        await says(program("bytes(1 << 30)"))
    with pytest.raises(Crashed, match=r"\(268 MB\)"):
        await says(program("held = [bytes(1000) for _ in range(1 << 22)]"))


async def test_a_file_that_is_mapped_and_only_read_costs_no_memory_of_the_limit(
    program: Program, tmp_path: Path
) -> None:
    big = tmp_path / "weights"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    module = program(
        "import mmap, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    print(len(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))\n"
    )
    assert await says(module, str(big)) == str(1 << 30)


async def test_processor_time_is_bounded(program: Program) -> None:
    with pytest.raises(Crashed, match="1 s of processor"):
        await says(program("while True: pass"), limits=ChildLimits(processor=1))


async def test_a_child_that_ignores_the_signal_of_its_processor_time_is_killed(program: Program) -> None:
    module = program("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass")
    with pytest.raises(Crashed, match="SIGKILL"):
        await says(module, limits=ChildLimits(processor=1))


async def test_open_files_are_bounded(program: Program) -> None:
    module = program("held = [open('/dev/null') for _ in range(100)]")
    with pytest.raises(Crashed, match="Too many open files"):
        await says(module, limits=ChildLimits(files=32))


async def test_what_a_child_may_write_is_bounded(program: Program, tmp_path: Path) -> None:
    module = program("import sys\nwith open(sys.argv[1], 'wb') as file: file.write(bytes(5000))")
    with pytest.raises(Crashed, match="File too large"):
        await says(module, str(tmp_path / "written"))
    assert (tmp_path / "written").stat().st_size == 0
    await says(module, str(tmp_path / "written"), limits=ChildLimits(file_size=5000))


async def test_a_child_leaves_no_core_dump_and_dies_before_its_parent_where_memory_ends(program: Program) -> None:
    module = program(
        "import resource\nprint(*resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/oom_score_adj').read())"
    )
    assert await says(module) == f"0 0 {OOM_SCORE}"


async def test_a_child_that_takes_too_long_is_killed_with_what_it_started(program: Program, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    module = program(
        "import os, signal, sys\n"
        "pid = os.fork()\n"
        "if pid: open(sys.argv[1], 'w').write(str(pid))\n"
        "while True: signal.pause()\n"
    )
    with pytest.raises(Crashed, match="end within 3 s"):
        await result(module, (str(note),), ChildLimits(file_size=100), seconds=3, most=100)
    await gone(int(note.read_text()))


async def test_a_child_that_says_too_much_is_killed(program: Program) -> None:
    with pytest.raises(Crashed, match="more than 1000 bytes"):
        await says(program("while True: print('x' * 4096)"))


async def test_a_child_whose_output_nobody_reads_is_ended_too(program: Program) -> None:
    more_than_a_reader_takes = 1 << 20
    module = program(
        "import fcntl, os\n"
        f"fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, {more_than_a_reader_takes})\n"
        f"os.write(1, bytes({more_than_a_reader_takes}))\n"
        "while True: os.write(1, b'x')\n"
    )
    with pytest.raises(Crashed, match="more than 1000 bytes"):
        await says(module)


async def test_words_of_a_child_that_fails_are_told_and_bounded(program: Program) -> None:
    module = program("import sys\nsys.stderr.write('x' * 3_000_000 + '\\nit is broken\\n')\nsys.exit(3)")
    with pytest.raises(Crashed, match=r" exit code 3 \(it is broken\)$"):
        await says(module)


async def test_a_child_that_is_not_waited_for_is_killed(program: Program, tmp_path: Path) -> None:
    note = tmp_path / "child"
    module = program(
        "import os, signal, sys\n"
        "with open(sys.argv[1], 'w') as file: file.write(f'{os.getpid()}.')\n"
        "while True: signal.pause()\n"
    )
    task = asyncio.create_task(says(module, str(note), limits=ChildLimits(file_size=100)), name="a caller")
    await until(lambda: read(str(note)).endswith("."))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await gone(int(note.read_text()[:-1]))


def test_secrets_of_the_daemon_do_not_reach_the_child() -> None:
    ours = {"PATH": "/bin", "TELEGRAM_TOKEN": "x", "AGENTD_OWNER": "x", "LC_ALL": "C", "OMP_WAIT_POLICY": "active"}
    theirs = child_environment(ours)
    ours_to_say = {**THREADS_WAIT, "OPENBLAS_NUM_THREADS": "1", "GGML_NO_BACKTRACE": "1"}
    assert theirs == {"PATH": "/bin", "LC_ALL": "C"} | ours_to_say


async def test_no_secret_of_the_environment_reaches_a_child(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AGENTD_MODEL__REMOTE__API_KEY",
        "LLAMA_API_KEY",
        "GGML_RPC_TOKEN",
        "HF_TOKEN",
        "CREDENTIALS_DIRECTORY",
    ):
        monkeypatch.setenv(name, "sesame")
    assert "sesame" not in await says(program("import os; print(dict(os.environ))"), most=100_000)


async def test_a_child_dies_with_its_parent(program: Program, tmp_path: Path) -> None:
    note = tmp_path / "child"
    module = program(
        "import asyncio, os, signal, sys\n"
        "from agentd.host.limits import THREADS_WAIT, ChildLimits, start\n"
        "def wait():\n"
        "    with open(sys.argv[1], 'w') as file: file.write(f'{os.getpid()}.')\n"
        "    while True: signal.pause()\n"
        "async def main():\n"
        "    child = await start('child_of_a_test', sys.argv[1:2], ChildLimits(file_size=100))\n"
        "    await child.wait()\n"
        "asyncio.run(main()) if sys.argv[2:] else wait()\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-m", module, str(note), "parent")
    await until(lambda: read(str(note)).endswith("."))
    parent.kill()
    await parent.wait()
    await gone(int(note.read_text()[:-1]))


async def test_a_child_that_stays_is_ended_when_nobody_wants_it(program: Program) -> None:
    child = await start(program("import signal\nwhile True: signal.pause()"), (), NARROW)
    end(child)
    assert await child.wait() == -signal.SIGKILL
    end(child)


def test_how_a_child_ended_is_said_in_words() -> None:
    assert how_it_ended(-signal.SIGSEGV, NARROW).endswith(" SIGSEGV")
    assert how_it_ended(2, NARROW, "first\nlast\n").endswith(" exit code 2 (last)")


def read(path: str) -> str:
    """ "" for what is not there."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    """Wait until this process is no more, or is only to be waited for."""
    await until(lambda: read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in ([], ["Z"]))
