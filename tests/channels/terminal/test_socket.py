"""The unix socket: under any path, for its owner, and knowing who connects."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentd.errors import StateError
from channels.terminal.socket import Bound, bind, shared_group


def connected(path: Path) -> tuple[socket.socket, socket.socket]:
    bound = bind(path, 0o600)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH)
    client.connect(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)
    bound.listener.setblocking(True)
    accepted, _ = bound.listener.accept()
    bound.listener.close()
    return client, accepted


def left_behind(path: Path, mode: int) -> None:
    """The socket of a daemon that was killed."""
    bind(path, mode).listener.close()


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
    left_behind(path, 0o600)
    bound = bind(path, 0o660)
    assert path.stat().st_mode & 0o777 == 0o660
    bound.close()
    path.write_text("precious")
    with pytest.raises(StateError, match="not a socket"):
        bind(path, 0o600)
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="AGENTD_SOCKET"):
        bind(tmp_path / "no" / "s", 0o600)


def test_only_a_socket_that_is_open_to_its_group_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left_behind(path, 0o600)
    assert shared_group(path) is None
    left_behind(path, 0o660)
    assert shared_group(path) == path.stat().st_gid


def test_a_socket_on_which_somebody_listens_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(path, 0o600)
    for _ in range(2):
        with pytest.raises(StateError, match="another process listens"):
            bind(path, 0o600)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    client.close()
    first.close()
    assert not path.exists()


def test_whatever_came_into_the_place_of_our_socket_stays_when_we_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(path, 0o600)
    path.unlink()
    second = bind(path, 0o600)
    first.close()
    assert path.is_socket()
    second.close()
    second.close()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a socket of somebody else")
def test_a_socket_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left_behind(path, 0o600)
    os.chown(path, 54321, 54321)
    with pytest.raises(StateError, match="belongs to uid 54321"):
        bind(path, 0o600)
    assert path.is_socket()


def test_of_many_that_start_at_once_exactly_one_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left_behind(path, 0o600)
    start = threading.Barrier(8)

    def one() -> Bound | None:
        start.wait(10)
        try:
            return bind(path, 0o600)
        except StateError:
            return None

    with ThreadPoolExecutor(8) as threads:
        bound = [found for found in threads.map(lambda _: one(), range(8)) if found is not None]
    assert len(bound) == 1
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    client.close()
    bound[0].close()


def test_whoever_holds_the_lock_of_the_directory_keeps_nobody_from_starting(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    bind(tmp_path / "s", 0o600).close()
    os.close(held)
