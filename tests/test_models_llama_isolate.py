from __future__ import annotations

import ctypes
import faulthandler
import os
import sys
import time

import pytest

from agentd.errors import ModelError
from agentd.limits import Crashed
from agentd.models.llama.isolate import isolated

SECONDS = 20.0


def test_the_result_comes_back_whole_whatever_its_size() -> None:
    data = os.urandom(1 << 20)
    assert isolated(lambda: data, seconds=SECONDS) == data
    assert isolated(lambda: b"", seconds=SECONDS) == b""


def test_a_refusal_comes_back_with_its_words() -> None:
    def refuse() -> bytes:
        raise ModelError("näh")

    with pytest.raises(ModelError, match="näh"):
        isolated(refuse, seconds=SECONDS)


def test_a_crash_of_native_code_is_an_exception_here() -> None:
    def crash() -> bytes:
        faulthandler.disable()  # which would tell of it at length
        return b"%d" % ctypes.memset(1, 0, 1)

    with pytest.raises(Crashed, match="SIGSEGV"):
        isolated(crash, seconds=SECONDS)


def test_an_error_in_the_work_is_no_result() -> None:
    with pytest.raises(Crashed, match="ZeroDivisionError: "):
        isolated(lambda: b"%d" % (1 // 0), seconds=SECONDS)


def test_work_that_does_not_end_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(Crashed, match=r"did not end within 0\.3 s"):
        isolated(lambda: b"".join(iter(lambda: b"", None)), seconds=0.3)
    assert time.monotonic() - start < SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_work_that_only_grows_is_ended() -> None:
    with pytest.raises(Crashed):
        isolated(lambda: bytes(3 << 30), seconds=SECONDS)


def test_nothing_of_the_process_changes() -> None:
    seen: list[int] = []
    pid = int(isolated(lambda: seen.append(1) or b"%d" % os.getpid(), seconds=SECONDS))  # type: ignore[func-returns-value]
    assert not seen
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
