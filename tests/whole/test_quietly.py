"""What the Makefile runs quietly shows one line while it runs, and everything if it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import Terminal

QUIETLY = [sys.executable, str(Path(__file__).parents[2] / "quietly.py")]
MANY = "import sys\nfor n in range(3000): print(n)\nprint('the reason', file=sys.stderr)\n"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*QUIETLY, *command], capture_output=True, text=True, timeout=60, check=False)


def test_a_command_that_succeeds_says_nothing() -> None:
    done = run(sys.executable, "-c", MANY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_command_that_fails_is_shown_in_full_with_its_exit_code() -> None:
    done = run(sys.executable, "-c", f"{MANY}sys.exit(3)")
    assert done.returncode == 3
    assert sorted(done.stdout.split("\n")) == sorted(["", "the reason", *map(str, range(3000))])


@pytest.mark.parametrize("end", ["", "x"])
async def test_a_terminal_shows_the_newest_line_until_the_end(tmp_path: Path, end: str) -> None:
    os.mkfifo(tmp_path / "go on")
    code = (
        "import sys\n"
        "print('first\\n\\x1b[31mBuilding ' + 'wide ' * 50 + '\\n')\n"
        "open(sys.argv[1]).close()\n"
        "sys.exit(sys.argv[2] or 0)"
    )
    command = [*QUIETLY, sys.executable, "-c", code, str(tmp_path / "go on"), end]
    async with Terminal(command, columns=60, environment={"COLUMNS": "200"}) as terminal:
        await terminal.shows("[31mBuilding wide")
        assert terminal.lines[1] == ""
        (tmp_path / "go on").open("w").close()
        assert await terminal.ends() == (1 if end else 0)
        assert ("first" in terminal.everything) == bool(end)
        assert terminal.everything == "" or end
