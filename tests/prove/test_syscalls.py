"""A short run of kills at system calls, and the calls of every move beside those of the model."""

from __future__ import annotations

import pytest

from tests.prove.syscalls import operations_of
from tests.prover import prove


def test_kills_at_system_calls_lose_nothing_and_the_calls_are_those_of_the_model() -> None:
    shown = prove("syscalls", EVERY="12")
    if "SKIPPED" in shown:
        pytest.skip(shown.splitlines()[-1])
    assert "lost 0" in shown and "calls as modelled" in shown


def test_calls_are_read_as_operations_of_their_move() -> None:
    calls = [
        ("openat", 'AT_FDCWD</>, "/t/s/pending/a.event", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 7'),
        ("write", '5<pipe:[77]>, "{\\"begin\\":0,\\"op\\":\\"accept\\",\\"ke"..., 90) = 90'),
        ("write", '7</t/s/pending/a.event>, "{"..., 12) = 12'),
        ("fsync", "7</t/s/pending/a.event>) = 0"),
        ("write", '5<pipe:[77]>, "{\\"done\\":0}", 10) = 10'),
        ("rename", '"/t/s/pending/a.1.tmp", "/t/s/pending/a.event") = 0'),
        ("openat", 'AT_FDCWD</>, "/t/s/pending/a.event", O_WRONLY|O_CREAT|O_APPEND) = 7'),
        ("ftruncate", "7</t/s/pending/a.event>, 0) = 0"),
        ("write", '1</dev/null>, "x", 1) = 1'),
    ]
    event = "/t/s/pending/a.event"
    assert operations_of(calls, "/t/s", set()) == [
        ("start", [("create", event)]),
        ("accept", [("write", event), ("sync", event)]),
        ("done", [("rename", "/t/s/pending/a.1.tmp"), ("a call that the model does not know: ftruncate", event)]),
    ]
