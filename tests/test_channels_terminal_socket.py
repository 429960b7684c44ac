"""The unix socket: under any path, for its owner, and knowing who connects."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from agentd.errors import StateError
from channels.terminal.socket import bind, shared_group


def connected(path: Path) -> tuple[socket.socket, socket.socket]:
    listener = bind(path, 0o600)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH)
    client.connect(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)
    listener.setblocking(True)
    accepted, _ = listener.accept()
    listener.close()
    return client, accepted


@pytest.mark.parametrize("length", [10, 107, 108, 240])
def test_a_path_of_any_length_is_bound_with_the_mode_that_was_asked_for(tmp_path: Path, length: int) -> None:
    path = tmp_path / "d" / ("s" * min(length, 200)) / ("t" * min(length // 2, 60))
    path.parent.mkdir(parents=True)
    client, accepted = connected(path)
    assert path.stat().st_mode & 0o777 == 0o600
    client.close()
    accepted.close()


def test_a_stale_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind(path, 0o600).close()
    bind(path, 0o660).close()
    assert path.stat().st_mode & 0o777 == 0o660
    path.unlink()
    path.write_text("precious")
    with pytest.raises(StateError, match="not a socket"):
        bind(path, 0o600)
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="AGENTD_SOCKET"):
        bind(tmp_path / "no" / "s", 0o600)


def test_only_a_socket_that_is_open_to_its_group_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind(path, 0o600).close()
    assert shared_group(path) is None
    bind(path, 0o660).close()
    assert shared_group(path) == path.stat().st_gid
