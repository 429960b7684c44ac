"""`make install` puts a link on the PATH and overwrites nothing of others; `make uninstall` takes it away."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
(VERSION,) = re.findall(r"^llama-cpp-python==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


class Machine:
    """A virtual environment that is installed already, as make sees it, and a home without anything."""

    def __init__(self, folder: Path) -> None:
        self.venv, self.links = folder / "venv", folder / "home dir" / ".local" / "bin"
        self.program = self.venv / "bin" / "agentd"
        self.program.parent.mkdir(parents=True)
        self.program.write_text("#!/bin/sh\necho agentd runs\n")
        self.program.chmod(0o755)
        for mark in ("pip", "llama", "installed"):
            (self.venv / mark).touch()
        self.link = self.links / "agentd"

    def make(self, target: str, *, path: str = "") -> subprocess.CompletedProcess[str]:
        command = ["make", "--silent", target, f"VENV={self.venv}", f"LINKS={self.links}"]
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}{path}"}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_link_leads_to_the_program_and_may_be_made_again(machine: Machine) -> None:
    for _ in range(2):
        done = machine.make("install", path=f":{machine.links}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Type agentd, for example: agentd chat\n", "")
    assert subprocess.run([machine.link], capture_output=True, text=True, check=True).stdout == "agentd runs\n"


def test_a_folder_that_is_not_on_the_path_is_told_with_what_to_add(machine: Machine) -> None:
    done = machine.make("install")
    told, line = done.stdout.splitlines()
    assert done.returncode == 0 and "not on your PATH" in told
    assert line.strip() == f'export PATH="{machine.links}:$PATH"'


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_is_not_ours_is_left_alone(machine: Machine, kind: str) -> None:
    machine.links.mkdir(parents=True)
    other = machine.links / "other"
    if kind == "file":
        machine.link.write_text("another")
    else:
        if kind == "link":
            other.touch()
        machine.link.symlink_to(other)
    done = machine.make("install")
    assert done.returncode != 0 and "is not of this folder" in done.stderr and "move it away first" in done.stderr
    assert machine.make("uninstall").stdout.endswith("nothing was done\n")
    assert machine.link.read_text() == "another" if kind == "file" else machine.link.readlink() == other


def test_uninstall_takes_the_link_away_and_nothing_else(machine: Machine) -> None:
    machine.make("install")
    assert machine.make("uninstall").stdout == f"{machine.link} is gone\n"
    assert not machine.link.is_symlink() and machine.program.exists()
    assert machine.make("uninstall").stdout.endswith("nothing was done\n")


def test_a_first_chat_announces_each_step_before_it_begins(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "chat", f"VENV={tmp_path / 'none'}"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    marks = re.findall(r"^echo \"(Step \d of \d)|(?: -m venv | -m pip [^\n]* install )", planned, re.MULTILINE)
    assert marks == ["Step 1 of 4", "", "", "Step 2 of 4", "", "Step 3 of 4", "", "Step 4 of 4", ""]


@pytest.mark.parametrize(("kept", "told"), [("", "15 minutes"), ("0.0.1", "15 minutes"), (VERSION, "seconds")])
def test_a_first_chat_says_that_compiling_takes_long_unless_the_wheel_is_kept(
    tmp_path: Path, kept: str, told: str
) -> None:
    wheels = tmp_path / "kept" / "wheels" / "a7"
    wheels.mkdir(parents=True)
    if kept:
        (wheels / f"llama_cpp_python-{kept}-py3-none-linux_x86_64.whl").touch()
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to("/bin/true")
    (venv / "pip").touch()
    command = ["make", f"{venv}/llama", f"VENV={venv}", f"LLAMA_CACHE={tmp_path / 'kept'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (step,) = re.findall(r"^Step 2 of 4.*", done.stdout, re.MULTILINE)
    assert told in step
