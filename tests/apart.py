"""A pytest plugin: tests of native code run in a copy of pytest's process, which native code may end.

A module with `pytestmark = pytest.mark.native` has one copy for all its tests, so that its fixtures are made once and
no interpreter is started. A copy that is lost is one failed test, with the signal's name, the Python lines at which it
happened and what was written until then; the next test has a new copy. Everywhere else llama.cpp refuses to begin:
a crash would end pytest, and the copies would be forked beside its threads.

With `--pdb` such tests run in pytest's own process, because a debugger needs the terminal.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

MARK = "native"
_BEGIN = "llama_backend_init"


class Copy:
    """A forked copy of this process that runs tests one after another."""

    def __init__(self, session: pytest.Session) -> None:
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one directory for all copies
        self._session = session
        self._numbers = {item: number for number, item in enumerate(session.items)}
        self._last_words = tempfile.TemporaryFile("w+")
        self._ours, self._theirs = multiprocessing.Pipe()
        self.lost = False
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the copy uses none of them
            self._pid = os.fork()
        if self._pid == 0:
            self._serve()
        self._theirs.close()

    def run(self, item: pytest.Item, following: pytest.Item | None) -> list[pytest.TestReport]:
        """What came of one test, after which `following` is run here next."""
        start, seconds = time.time(), _limit(item)
        self._ours.send((self._numbers[item], following and self._numbers[following]))
        try:
            if not self._ours.poll(seconds):
                os.kill(self._pid, signal.SIGABRT)  # rather than SIGKILL: it says where it was
                return [self._loss(item, start, f"it did not end within {seconds:g} s")]
            data = self._ours.recv()
        except (EOFError, ConnectionError):
            return [self._loss(item, start)]
        config = self._session.config
        return [config.hook.pytest_report_from_serializable(config=config, data=each) for each in data]

    def end(self) -> tuple[int, str]:
        """Its exit code, a signal as a negative number, and at which lines it was lost."""
        self.lost = True
        self._ours.close()
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        with self._last_words as file:
            file.seek(0)
            return code, file.read()

    def _loss(self, item: pytest.Item, start: float, reason: str = "") -> pytest.TestReport:
        code, lines = self.end()
        reason = reason or (
            f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
        )
        capture: Any = self._session.config.pluginmanager.getplugin("capturemanager")
        written = zip(("stdout", "stderr"), capture.read_global_capture(), strict=True)
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=f"The process of this test is lost: {reason}.\n\n{lines}",
            when="call",
            sections=[(f"Captured {name}", text) for name, text in written if text],
            duration=time.time() - start,
            start=start,
            stop=time.time(),
        )

    def _serve(self) -> None:
        """In the copy: never returns."""
        try:
            self._ours.close()
            faulthandler.enable(self._last_words)
            _allow_native()
            config, items = self._session.config, self._session.items
            while True:
                number, following = self._theirs.recv()
                after = None if following is None else items[following]
                reports = runtestprotocol(items[number], log=False, nextitem=after)
                self._theirs.send(
                    [config.hook.pytest_report_to_serializable(config=config, report=report) for report in reports]
                )
        except EOFError:
            os._exit(0)  # without what pytest does at its end
        except BaseException:
            traceback.print_exc(file=self._last_words)
            self._last_words.flush()
        finally:
            os._exit(1)


_copy = pytest.StashKey[Copy]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}: a module whose tests run native code, in a process of their own")


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if item.get_closest_marker(MARK) is None or item.config.getoption("usepdb"):
        _forbid_native()
        return None
    if item.config.pluginmanager.hasplugin("timeout"):
        item.config.hook.pytest_timeout_cancel_timer(item=item)  # here it would end pytest; the copy is timed instead
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    stash = item.session.stash
    copy = stash[_copy] = stash.get(_copy, None) or Copy(item.session)
    following = nextitem if nextitem is not None and nextitem.path == item.path else None
    for report in copy.run(item, following):
        item.ihook.pytest_runtest_logreport(report=report)
    if following is None and not copy.lost:
        copy.end()
    if copy.lost:
        del stash[_copy]
    item.session._setupstate.teardown_exact(nextitem)  # packages that only the test before this one had set up
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One is left where the session ends early."""
    if (copy := session.stash.get(_copy, None)) is not None:
        copy.end()


def _limit(item: pytest.Item) -> float:
    """Seconds that pytest gives a test."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker is not None and marker.args else item.config.getini("timeout") or 3600)


def _forbid_native() -> None:
    native = sys.modules.get("llama_cpp.llama_cpp")
    if native is not None and getattr(native, _BEGIN) is not _refuse:
        _begins.append(getattr(native, _BEGIN))
        setattr(native, _BEGIN, _refuse)


def _allow_native() -> None:
    if _begins:
        setattr(sys.modules["llama_cpp.llama_cpp"], _BEGIN, _begins[-1])


_begins: list[Any] = []


def _refuse() -> None:
    raise RuntimeError(
        "llama.cpp may end the process of pytest: begin this module with pytestmark = pytest.mark.native"
    )
