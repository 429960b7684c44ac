from __future__ import annotations

import ctypes
import faulthandler
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama import isolate
from agentd.models.llama.isolate import Copy, isolated

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
    with pytest.raises(Crashed, match=r"0\.3 s of processor"):
        isolated(lambda: b"".join(iter(lambda: b"", None)), seconds=0.3)


def test_work_that_only_waits_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "WAIT_SECONDS", 0.3)
    with pytest.raises(Crashed, match=r"end within 0\.3 s"):
        isolated(lambda: b"%d" % threading.Event().wait(), seconds=SECONDS)


def test_the_time_that_a_busy_machine_makes_work_wait_does_not_count() -> None:
    """The work waits for longer than it may compute."""
    assert isolated(lambda: b"%d" % threading.Event().wait(0.6), seconds=0.3) == b"0"


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


def test_a_copy_answers_one_request_after_the_other() -> None:
    copy = Copy(lambda data: data[::-1], seconds=SECONDS)
    long = os.urandom(3 << 20)
    assert [copy.ask(data) for data in (b"", b"ab", long)] == [b"", b"ba", long[::-1]]
    pid = copy._pid
    copy.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Crashed, match="it is gone"):
        copy.ask(b"")


def test_a_copy_goes_on_after_a_refusal() -> None:
    def work(data: bytes) -> bytes:
        if data:
            raise ModelError(data.decode() + "\ud83d")
        return b"well"

    copy = Copy(work, seconds=SECONDS)
    with pytest.raises(ModelError, match=r"^no\ufffd$"):
        copy.ask(b"no")
    assert copy.ask(b"") == b"well"


def test_a_copy_that_computes_for_ever_is_ended_even_if_native_code_does_it() -> None:
    for work in (lambda data: b"%d" % (2 ** (2**31)), lambda data: b"".join(iter(lambda: b"", None))):
        copy = Copy(work, seconds=0.2)
        with pytest.raises(Crashed, match=r"0\.2 s of processor"):
            copy.ask(b"")
        with pytest.raises(Crashed, match="it is gone"):
            copy.ask(b"")


def test_the_time_of_one_request_does_not_count_for_the_next() -> None:
    def work(data: bytes) -> bytes:
        end = time.process_time() + 0.4
        while time.process_time() < end:
            pass
        return b""

    copy = Copy(work, seconds=0.7)
    for _ in range(3):
        copy.ask(b"")


def test_memory_and_files_of_a_copy_are_bounded(tmp_path: Path) -> None:
    def work(data: bytes) -> bytes:
        if data:
            (tmp_path / "written").write_bytes(data)
        return bytes(1 << 30)

    copy = Copy(work, seconds=SECONDS, memory=64 << 20)
    with pytest.raises(Crashed, match="MemoryError"):
        copy.ask(b"")
    with pytest.raises(Crashed, match="File too large"):
        copy.ask(b"x")


def test_a_copy_has_no_file_open_but_its_streams_and_its_line(tmp_path: Path) -> None:
    def work(data: bytes) -> bytes:
        with os.scandir("/proc/self/fd") as found:
            return "\n".join(os.readlink(entry.path) for entry in found if int(entry.name) > 2).encode()

    with (tmp_path / "secret").open("w"):
        copy = Copy(work, seconds=SECONDS)
    listing, line = sorted(copy.ask(b"").decode().splitlines())
    assert listing.endswith("/fd") and line.startswith("socket:")


def test_a_copy_that_nobody_has_any_more_is_gone() -> None:
    copy = Copy(lambda data: data, seconds=SECONDS)
    pid = copy._pid
    del copy
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
