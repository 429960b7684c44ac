"""How a command finds its daemon, or becomes one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentd.cli import attach as module
from agentd.cli import main
from agentd.cli.attach import attached, in_process, served
from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.errors import StateError, Unreachable, UsageError
from agentd.host.lock import StateLock
from agentd.testing.gguf import write_random_model
from tests.daemons import DaemonProcess


def options(state: Path) -> argparse.Namespace:
    return argparse.Namespace(config=None, state_dir=state, set=[])


async def test_a_running_daemon_is_used(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path / "s") as daemon:
        async with attached(options(tmp_path / "s"), name="test") as client:
            assert client.welcome.pid == daemon.process.pid


async def test_where_none_runs_one_runs_here_until_the_block_ends(tmp_path: Path) -> None:
    async with attached(options(tmp_path / "s"), name="test") as client:
        assert (await client.status()).as_json()["daemon"]["in_process"]
    with StateLock(tmp_path / "s"):
        pass


async def test_commands_at_the_same_time_share_one_daemon(tmp_path: Path) -> None:
    async def one() -> str:
        return (await served(options(tmp_path / "s"), lambda client: client.open(), name="test")).session

    sessions = await asyncio.gather(*(one() for _ in range(3)))
    assert len(set(sessions)) == 3


async def test_a_holder_of_the_lock_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTACH_SECONDS", 0.0)
    with StateLock(tmp_path / "s"), pytest.raises(Unreachable, match=r"process \d+ holds"):
        async with attached(options(tmp_path / "s"), name="test"):
            pass


async def test_an_error_in_the_block_ends_the_daemon_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with attached(options(tmp_path / "s"), name="test"):
            raise KeyError("a bug of the caller")
    with StateLock(tmp_path / "s"):
        pass


async def test_a_model_cannot_be_forced_on_a_daemon_that_runs(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path / "s"):
        given = options(tmp_path / "s")
        given.model = tmp_path / "small.gguf"
        write_random_model(given.model)
        with pytest.raises(UsageError, match="/model"):
            async with attached(given, name="test"):
                pass


async def test_a_daemon_that_went_away_may_come_back_with_another_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_SECONDS", 30.0)
    given = options(tmp_path / "s")
    given.model = tmp_path / "small.gguf"
    write_random_model(given.model)
    async with attached(given, name="test"):
        pass
    given.model.unlink()

    async def again() -> int:
        async with attached(given, name="test") as client:
            return client.welcome.pid

    waiting = asyncio.create_task(again())
    async with DaemonProcess(tmp_path / "s") as daemon:
        assert await waiting == daemon.process.pid
        assert await again() == daemon.process.pid
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and " --model; " in told


async def test_settings_that_a_daemon_does_not_take_are_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(tmp_path / "s")
    given.set = [("agent.concurrency", "2"), ("daemon.grace", "1"), ("daemon.grace", "2")]
    async with DaemonProcess(tmp_path / "s"):
        for _ in range(2):
            async with attached(given, name="test"):
                pass
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--set for agent.concurrency, daemon.grace; " in told


async def test_the_deadline_of_a_daemon_that_failed_ends_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(daemon: Daemon, **events: object) -> None:
        raise StateError("the disk is gone")

    monkeypatch.setattr(Daemon, "run", fails)
    with pytest.raises(StateError, match="gone"):
        async with in_process(Settings(), tmp_path):
            pass
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


NOBODY = 65534
COMMANDS = (
    ["ask", "hi"],
    ["chat", "--plain"],
    ["status"],
    ["ingest", "/etc/hostname"],
    ["delivery", "list"],
    ["model", "list"],
    ["model", "use", "small"],
)


AS_NOBODY = f"""
import importlib, json, os, sys, agentd.cli as cli
for module, _ in cli.COMMANDS.values(): importlib.import_module(module)
import agentd.cli.model_pull, agentd.serving.letters, agentd.status.at_rest, channels.terminal.channel
import workers.agent, workers.delivery
for words in json.loads(sys.argv[1]):
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writes, 2)
        os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
        code = cli.main(words)
        sys.stderr.flush()
        os._exit(code)
    os.close(writes)
    with open(reads) as told:
        said = told.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.wait()[1]), said]), flush=True)
"""


def as_nobody(commands: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Exit code and errors of commands of another user.

    One interpreter imports all that they may need, and each is a copy of it that gives its rights up.
    """
    command = [sys.executable, "-c", AS_NOBODY, json.dumps(commands)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, timeout=240, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_state_directory_of_somebody_else_is_told_in_one_sentence(below: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        state = Path(folder, "state")
        state.mkdir(mode=0o700)
        ended = as_nobody([[*words, "--state-dir", str(state / below)] for words in COMMANDS])
    for words, (code, errors) in zip(COMMANDS, ended, strict=True):
        assert code == StateError.exit_code, words
        assert errors.startswith("agentd: ") and errors.count("\n") == 1, words
        assert re.search("belongs to root|[Pp]ermission", errors) and str(state) in errors, words


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_state_directory_that_is_a_file_is_told_as_one(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "s"
    state.touch()
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert main([*arguments, "--state-dir", str(state)]) == StateError.exit_code
    told = f"agentd: the state directory {state} is a file; name a directory with --state-dir.\n"
    assert capsys.readouterr().err == told
