"""One process at a time owns a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.errors import StateError, StateInUse
from agentd.host.lock import StateLock


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with StateLock(tmp_path), pytest.raises(StateInUse, match=f"process {os.getpid()}") as raised:
        StateLock(tmp_path).__enter__()
    assert raised.value.pid == os.getpid()
    with StateLock(tmp_path):
        pass


def test_a_killed_owner_leaves_the_lock_free(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from agentd.host.lock import StateLock\n"
    code += "with StateLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(StateInUse, match=str(child.pid)):
        StateLock(tmp_path).__enter__()
    child.kill()
    child.wait(10)
    child.stdout.close()
    child.stdin.close()
    with StateLock(tmp_path):
        pass


def test_a_chat_that_holds_the_directory_is_named_as_one(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from agentd.host.lock import StateLock\n"
    code += "with StateLock(Path(sys.argv[3])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "agentd", "chat", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StateInUse, match=r"process \d+ \(`agentd chat`\)"):
            StateLock(tmp_path).__enter__()
        child.stdin.close()


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with StateLock(tmp_path / "a" / "state"):
        assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_used_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StateError, match=r"file.*--state-dir"):
        StateLock(tmp_path / "file" / "state").__enter__()


def test_a_lock_that_leads_elsewhere_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    for name, plant in (("link", victim.__class__.symlink_to), ("hard", victim.__class__.hardlink_to)):
        (tmp_path / name).mkdir()
        plant(tmp_path / name / "lock", victim)
        with pytest.raises(StateError, match=r"lock (is a link|.*process id)"):
            StateLock(tmp_path / name).__enter__()
    assert victim.read_text() == "precious"


def test_a_lock_file_that_a_full_disk_left_empty_is_used(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    with StateLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
