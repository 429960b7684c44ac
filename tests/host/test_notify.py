"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.host.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(5)
        yield path, receiver


def test_ready_status_and_stopping_are_told_as_datagrams(manager: tuple[str, socket.socket]) -> None:
    path, receiver = manager
    notifier = Notifier({"NOTIFY_SOCKET": path})
    notifier.ready("2 channels\nrun Grüße")
    notifier.status("busy")
    notifier.stopping()
    assert receiver.recv(4096).decode() == "READY=1\nSTATUS=2 channels run Grüße"
    assert receiver.recv(4096) == b"STATUS=busy"
    assert receiver.recv(4096).startswith(b"STOPPING=1\n")


def test_an_abstract_socket_is_reached() -> None:
    name = f"agentd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        assert receiver.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent() -> None:
    Notifier({}).ready("fine")


def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    assert "cannot tell systemd READY=1" in caplog.text


async def test_the_watchdog_is_fed_only_while_the_check_says_that_all_is_well(
    manager: tuple[str, socket.socket],
) -> None:
    path, receiver = manager
    receiver.setblocking(False)
    answers = iter([True, False, True])
    asked = asyncio.Event()

    async def check() -> bool:
        try:
            return next(answers)
        except StopIteration:
            asked.set()
            return False

    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000"})
    task = asyncio.create_task(notifier.watchdog(check), name="watchdog")
    async with asyncio.timeout(60):
        await asked.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [receiver.recv(100), receiver.recv(100)] == [b"WATCHDOG=1", b"WATCHDOG=1"]
    with pytest.raises(BlockingIOError):
        receiver.recv(100)


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    assert Notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    assert Notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 3
    assert Notifier({"WATCHDOG_USEC": "soon"}).watchdog_seconds is None
