"""The port that the gateway has, and what people are told if it cannot have it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agentd.errors import ConfigError
from channels.websocket.listening import UNREAD_MS, listen
from channels.websocket.settings import WebSocketSettings
from tests.daemons import DEADLINE, WEBSOCKET, DaemonProcess


def test_who_has_the_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} .*pid {os.getpid()}\)"):
            listen("127.0.0.1", port)
    with listen("127.0.0.1", port) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS
        assert listener.proto == socket.IPPROTO_TCP, "asyncio would let answers wait for acknowledgements"


def test_an_interface_that_this_machine_does_not_have_is_named() -> None:
    with pytest.raises(ConfigError, match=r"channels\.websocket\.host"):
        listen("192.0.2.1", 0)


def test_other_machines_are_let_in_only_if_nobody_on_the_way_can_read() -> None:
    with pytest.raises(ValidationError):
        WebSocketSettings(host="0.0.0.0")
    assert WebSocketSettings(host="0.0.0.0", behind_proxy=True)
    assert WebSocketSettings(host="::", tls_certificate=Path("c"), tls_key=Path("k"))
    with pytest.raises(ValidationError):
        WebSocketSettings(tls_key=Path("k"))


async def test_run_says_where_it_listens_and_refuses_to_start_if_the_port_is_taken(tmp_path: Path) -> None:
    environment = {WEBSOCKET: "true", "AGENTD_CHANNELS__WEBSOCKET__PORT": "0"}
    async with DaemonProcess(tmp_path / "s", environment=environment) as daemon:
        assert daemon.process.stdout is not None
        line = (await asyncio.wait_for(daemon.process.stdout.readline(), DEADLINE)).decode()
        port = line.rpartition("127.0.0.1:")[2].split()[0].rstrip(";")
        command = [sys.executable, "-m", "agentd", "run", "--state-dir", str(tmp_path / "other")]
        second = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, WEBSOCKET: "true", "AGENTD_CHANNELS__WEBSOCKET__PORT": port},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), DEADLINE)
        async with connect(f"ws://127.0.0.1:{port}/ws") as client:
            daemon.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        assert await daemon.wait() == 0
    assert second.returncode == 78
    assert f"(pid {daemon.process.pid})" in said.decode()
