"""Who is at the other end of a unix socket, and whether a client may believe it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from agentd.host.peers import is_trusted, peer, user_name

STRANGER = 54321


def test_the_kernel_tells_who_connects_and_their_groups() -> None:
    one, other = socket.socketpair()
    with one, other:
        told = peer(one)
    assert (told.pid, told.uid, told.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert told.groups == {os.getgid(), *os.getgroups()}


def test_root_and_the_same_user_may_serve_from_anywhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert is_trusted(0, tmp_path, own=STRANGER)
    assert is_trusted(STRANGER, tmp_path, own=STRANGER)


def test_nobody_else_serves_from_a_directory_that_is_not_theirs(tmp_path: Path) -> None:
    assert not is_trusted(STRANGER, tmp_path, own=STRANGER + 1)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")


@needs_root
def test_a_service_account_may_serve_from_its_own_directory_below_those_of_root(tmp_path: Path) -> None:
    run = Path(f"/run/agentd-test-{os.getpid()}")
    run.mkdir(mode=0o755)
    try:
        service = run / "agentd"
        service.mkdir(mode=0o750)
        os.chown(service, STRANGER, STRANGER)
        assert is_trusted(STRANGER, service, own=1000)
        run.chmod(0o777)
        assert not is_trusted(STRANGER, service, own=1000), "anybody could have put that directory there"
        run.chmod(0o755)
        link = tmp_path / "link"
        link.symlink_to(service)
        tmp_path.chmod(0o777)
        assert not is_trusted(STRANGER, link, own=1000), "anybody could have made that link"
    finally:
        service.rmdir()
        run.rmdir()


def test_a_user_is_named_as_people_know_it() -> None:
    assert user_name(0) == "root (uid 0)"
    assert user_name(STRANGER) == f"uid {STRANGER}"
