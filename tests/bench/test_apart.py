from __future__ import annotations

import ctypes
import faulthandler
import os
import threading
from collections.abc import Callable

import pytest

from bench import apart
from bench.apart import Apart


def counter(start: int) -> Callable[[int], tuple[int, int]]:
    known = [start]

    def count(more: int) -> tuple[int, int]:
        known[0] += more
        return known[0], os.getpid()

    return count


def divider() -> Callable[[int], float]:
    return lambda number: 1 / number


def crashing() -> Callable[[str], None]:
    def crash(how: str) -> None:
        faulthandler.disable()
        if how == "leave":
            os._exit(3)
        ctypes.memset(1, 0, 1)

    return crash


def hanging() -> Callable[[str], str]:
    return lambda _: str(threading.Event().wait())


async def test_one_process_is_made_once_and_asked_several_times() -> None:
    with Apart(counter, 10) as child:
        (first, one), (second, other) = child.ask(1), await child.answer(2)
    assert (first, second) == (11, 13) and one == other != os.getpid()


def test_an_error_is_told_and_the_process_goes_on() -> None:
    with Apart(divider) as child:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
            child.ask(0)
        assert child.ask(2) == 0.5


@pytest.mark.parametrize(("how", "told"), [("crash", "killed by SIGSEGV"), ("leave", "exit code 3")])
def test_a_crash_is_an_error_that_names_the_signal(how: str, told: str) -> None:
    with Apart(crashing) as child, pytest.raises(RuntimeError, match=f"is lost: {told}"):
        child.ask(how)


def test_one_that_cannot_be_made_is_an_error_at_once() -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        Apart(divider, "an argument that it does not take")


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Apart(hanging) as child, pytest.raises(RuntimeError, match=r" 0\.1 s"):
        monkeypatch.setattr(apart, "SECONDS", 0.1)
        child.ask("")
