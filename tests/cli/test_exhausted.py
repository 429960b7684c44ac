"""A limit of the process that is too low is told in one sentence."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.cli.exhausted import limit_met


@pytest.mark.parametrize(
    ("error", "option"),
    [
        (MemoryError(), "memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    ],
)
def test_the_limit_is_named(error: BaseException, option: str) -> None:
    assert option in limit_met(error)


def test_another_error_is_not_called_a_limit() -> None:
    for error in (ImportError("there is no module x"), OSError(errno.ENOENT, "x"), RuntimeError("x")):
        assert limit_met(error) == ""


def limited(limit: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'ulimit {limit}; exec "$0" -m agentd "$@"', sys.executable, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("words", [["status"], ["run"], ["ask", "hello"]])
def test_too_little_memory_is_told_in_a_sentence(tmp_path: Path, words: list[str]) -> None:
    done = limited("-v 70000", "--state-dir", str(tmp_path / "s"), *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "`ulimit -v`), which is 71 MB" in done.stderr


def test_a_command_that_may_open_too_few_files_says_so_and_ends(tmp_path: Path) -> None:
    done = limited("-n 16", "--state-dir", str(tmp_path / "s"), "ask", "hello")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
