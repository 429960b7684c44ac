"""How a command finds its daemon, or becomes one."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from agentd.cli import attach as module
from agentd.cli.attach import attached, served
from agentd.errors import Unreachable, UsageError
from agentd.lock import StateLock
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
        assert (await client.get("status"))["daemon"]["in_process"]
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
