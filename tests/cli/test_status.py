"""`agentd status`, with and without a daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agentd.pending import PendingDirectory
from tests.builders import inbound, outbound
from tests.daemons import DaemonProcess


def status(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", "status", "--state-dir", str(state), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_without_a_daemon_it_says_so_and_that_there_is_no_language_model(tmp_path: Path) -> None:
    done = status(tmp_path / "s")
    assert done.returncode == 0 and done.stderr == ""
    assert "no daemon runs" in done.stdout
    assert "no language model" in done.stdout
    assert "extractive" not in done.stdout and "agentd model list" in done.stdout
    assert "well" in done.stdout.splitlines()[-1]


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = status(tmp_path / "x" / "s")
    assert done.returncode == 0 and f"{tmp_path}/x/s, nothing" in done.stdout
    assert list(tmp_path.iterdir()) == []


async def test_without_a_daemon_it_looks_and_answers_nothing(tmp_path: Path) -> None:
    state = tmp_path / "s"
    asked, answered = inbound("Hello?"), inbound("And?")
    async with PendingDirectory(state) as pending:
        for event in (asked, answered):
            await pending.accept(event)
        await pending.answer(outbound(answered))
    before = {path: path.read_bytes() for path in (state / "pending").iterdir()}
    figures = json.loads(status(state, "--json").stdout)
    assert figures["daemon"]["pid"] is None and not figures["daemon"]["in_process"]
    assert (figures["pending"]["unanswered"], figures["pending"]["undelivered"]) == (1, 1)
    assert {path: path.read_bytes() for path in (state / "pending").iterdir()} == before


async def test_beside_a_daemon_it_is_the_daemons(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path / "s") as daemon:
        figures = json.loads(status(tmp_path / "s", "--json").stdout)
        assert figures["daemon"]["pid"] == daemon.process.pid
        assert not figures["daemon"]["in_process"]


def test_a_disk_without_room_is_told_with_the_exit_code(tmp_path: Path) -> None:
    done = status(tmp_path / "s", "--set", f"pending.min_free_bytes={1 << 60}")
    assert done.returncode == 1 and done.stderr == ""
    assert "refused: the disk" in done.stdout
