"""`agentd run`: its ready line, its signals, and a state directory that cannot be used."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.pending.file import seal
from agentd.serving import protocol
from tests.daemons import WEBSOCKET, DaemonProcess, processes_of
from tests.house import next_answer, next_of


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_an_idle_daemon_with_0_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async with DaemonProcess(tmp_path / "s") as daemon:
        assert await daemon.end(number) == 0
    assert not (tmp_path / "s" / "agentd.sock").exists()
    assert processes_of(tmp_path / "s") == []


def test_a_terminal_that_has_closed_is_no_failure(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "agentd", "run", "--state-dir", str(tmp_path / "s")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=end, stderr=end) as process:
        os.close(end)
        said = b""
        while b"Ctrl-C" not in said:
            said += os.read(terminal, 4096)
        os.close(terminal)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0


async def test_a_second_sigterm_is_fast_and_the_turn_is_answered_after_the_next_start(tmp_path: Path) -> None:
    environment = {"DYING_COUNT": str(tmp_path / "count"), "DYING_AT": "turn"}
    arguments = {"program": "tests.dying_daemon", "environment": environment}
    async with DaemonProcess(tmp_path / "s", **arguments) as daemon:  # type: ignore[arg-type]
        async with daemon.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            await next_of(client, protocol.Chunk)
            daemon.process.send_signal(signal.SIGTERM)
            await next_of(client, protocol.Closing)
            assert await daemon.end(signal.SIGTERM) == 0
    environment["DYING_AT"] = ""
    async with DaemonProcess(tmp_path / "s", **arguments) as daemon, daemon.client() as client:  # type: ignore[arg-type]
        await client.open(session)
        assert (await next_answer(client)).text == "You said: hello"


async def test_a_second_daemon_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path / "s") as daemon:
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agentd", "run", "--state-dir", str(tmp_path / "s"), stderr=subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert f"process {daemon.process.pid}" in errors.decode()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", "run", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **environment}
    )


async def test_a_daemon_opens_its_page_and_a_second_start_opens_it_again(tmp_path: Path) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    os.mkfifo(seen)
    browser.write_text(f'#!/bin/sh\necho "$@" > {seen}\n')
    browser.chmod(0o700)
    environment = {WEBSOCKET: "true", "AGENTD_CHANNELS__WEBSOCKET__PORT": "0", "BROWSER": f"{browser} %s"}
    async with DaemonProcess(tmp_path / "s", "--open", environment=environment) as daemon:
        assert (await asyncio.to_thread(seen.read_text)).endswith("open.html\n")
        command = [sys.executable, "-m", "agentd", "run", "--open", "--state-dir", str(tmp_path / "s")]
        again = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
        assert (await asyncio.to_thread(seen.read_text)).endswith("open.html\n")
        assert await again.wait() == 0
        assert await daemon.end() == 0


def test_a_state_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("--state-dir", str(tmp_path / "file" / "state"))
    assert done.returncode == 1 and "--state-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_error_exits_78_and_names_key_file_and_fix(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[agent]\nconcurency = 3\n")
    done = run("--state-dir", str(tmp_path / "s"), "--config", str(config))
    assert done.returncode == 78
    assert f"{config}:2" in done.stderr and "agent.concurrency" in done.stderr


def test_a_pending_file_of_a_newer_version_stops_the_start_and_nothing_is_touched(tmp_path: Path) -> None:
    pending = tmp_path / "s" / "pending"
    pending.mkdir(parents=True)
    newer = pending / "18ea039138ac5e71-04d741a8.event"
    newer.write_bytes(seal({"v": 99, "len": 1, "sha256": "x"}) + b"\n{}")
    done = run("--state-dir", str(tmp_path / "s"))
    assert done.returncode == 78 and newer.name in done.stderr
    assert newer.read_bytes().startswith(b'{"v":99')


async def test_torn_and_empty_pending_files_are_put_aside_and_the_daemon_runs(tmp_path: Path) -> None:
    pending = tmp_path / "s" / "pending"
    pending.mkdir(parents=True)
    (pending / "18ea039138ac5e71-04d741a8.event").write_bytes(b"")
    (pending / "18ea039138ac5e72-04d741a8.event").write_bytes(b'{"v":1,"len":500,')
    async with DaemonProcess(tmp_path / "s") as daemon, daemon.client() as client:
        assert (await client.status()).as_json()["pending"]["unanswered"] == 0
    assert len(list((tmp_path / "s" / "corrupt").iterdir())) == 2


async def test_systemd_is_told_what_happens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        async with DaemonProcess(tmp_path / "s", environment=environment) as daemon:
            told = [await asyncio.to_thread(manager.recv, 4096) for _ in range(3)]
            assert await daemon.end() == 0
            while not told[-1].startswith(b"STOPPING=1"):
                told.append(manager.recv(4096))
    assert any(message.startswith(b"READY=1\nSTATUS=agentd is ready") for message in told)
    assert b"WATCHDOG=1" in told


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


async def status(state_dir: Path) -> tuple[int | None, str]:
    command = [sys.executable, "-m", "agentd", "status", "--state-dir", str(state_dir)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, told.decode().splitlines()[-1]


async def test_health_says_that_messages_are_refused_before_anybody_offers_one(tmp_path: Path, mount: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        daemon = DaemonProcess(
            mount / "s",
            "--set",
            "pending.min_free_bytes=1000000",
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        daemon.log = tmp_path / "log"
        async with daemon:
            assert (await status(mount / "s"))[0] == 0
            (mount / "filler").write_bytes(b"x" * 7_000_000)
            code, health = await status(mount / "s")
            assert code == 1 and health.startswith("health") and "refused" in health
            while b"STATUS=new messages are refused" not in await asyncio.to_thread(manager.recv, 4096):
                continue
            (mount / "filler").unlink()
            while b"STATUS=agentd is ready" not in await asyncio.to_thread(manager.recv, 4096):
                continue
            assert (await status(mount / "s"))[0] == 0
            assert await daemon.end() == 0


async def test_a_full_disk_refuses_messages_with_the_reason_and_loses_nothing(tmp_path: Path, mount: Path) -> None:
    daemon = DaemonProcess(mount / "s", "--set", "pending.min_free_bytes=1000000")
    daemon.log = tmp_path / "log"
    async with daemon, daemon.client() as client:
        session = (await client.open()).session
        await client.post(session, "before")
        await client.ack((await next_answer(client)).id)
        (mount / "filler").write_bytes(b"x" * 7_000_000)
        with pytest.raises(Exception, match="free"):
            await client.post(session, "refused", message_id="m1")
        (mount / "filler").unlink()
        await client.post(session, "after", message_id="m1")
        answer = await next_answer(client)
        assert answer.outcome == "answer"
        await client.ack(answer.id)
        assert await daemon.end() == 0


async def test_a_full_collection_does_not_walk_what_the_start_made(tmp_path: Path) -> None:
    counted = tmp_path / "counted.json"
    environment = {"COLLECTED": str(counted)}
    async with DaemonProcess(tmp_path / "s", program="tests.collected", environment=environment) as daemon:
        assert await daemon.end() == 0
    counts = json.loads(counted.read_text())
    assert counts["walked"] < counts["left_out"] / 2
