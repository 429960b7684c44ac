"""Trials of the real library, with faults on purpose, decide which way is used; the verdict is kept."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentd.errors import ModelError
from agentd.models.llama import isolate, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.driver import Driver
from agentd.models.llama.verdict import Verdict
from agentd.models.llama.ways import BY_NAME, WAYS, Way, allowed

pytestmark = pytest.mark.native

TYPES = ("F32", "Q4_1")
HERE = allowed(gpu=False)
Break = Callable[[Callable[[Way], bool], str], None]


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Make every way fail like this for which the function returns True."""
    decode, logits, process = Driver.decode, Driver.logits, os.getpid()

    def broken(which: Callable[[Way], bool], how: str) -> None:
        def faulty_decode(driver: Driver, spans: Any) -> Any:
            assert os.getpid() != process, "what may crash runs in a copy"
            if which(driver._way) and how.startswith("SIG"):
                signal.signal(signal.Signals[how], signal.SIG_DFL)
                os.kill(os.getpid(), signal.Signals[how])
            if which(driver._way) and how == "a hang":
                time.sleep(600)
            return decode(driver, spans)

        def faulty_logits(driver: Driver, *arguments: int) -> Any:
            found = logits(driver, *arguments)
            return np.roll(found, 1) if which(driver._way) and how == "wrong numbers" else found

        monkeypatch.setattr(Driver, "decode", faulty_decode)
        monkeypatch.setattr(Driver, "logits", faulty_logits)

    return broken


def test_the_fastest_way_is_taken_if_it_works(tmp_path: Path) -> None:
    found = verdict.find(Checks(tmp_path / "checks.json"), TYPES, HERE)
    assert found == Verdict(way=HERE[0], problems={})
    assert found.switched_off(HERE) == ""


@pytest.mark.parametrize(
    ("part", "how", "taken", "words"),
    [
        ("repack", "SIGSEGV", "flash", "without repacked weights .* SIGSEGV"),
        ("repack", "wrong numbers", "flash", "without repacked weights .* wrong numbers"),
        ("flash", "SIGABRT", "repack", "without flash attention on .* SIGABRT"),
        ("flash", "wrong numbers", "repack", "without flash attention on .* wrong numbers"),
        ("gpu", "SIGSEGV", "flash+repack", "without the GPU on .* SIGSEGV"),
        ("gpu", "SIGILL", "flash+repack", "without the GPU on .* SIGILL"),
    ],
)
def test_the_next_way_is_taken_and_said_where_a_faster_one_fails(
    breaks: Break, part: str, how: str, taken: str, words: str
) -> None:
    breaks(lambda way: bool(getattr(way, part)), how)
    ways = WAYS if part == "gpu" else HERE
    found = verdict.find(Checks(None), TYPES, ways, threads=(1,))
    assert found.way == BY_NAME[taken]
    assert re.search(words, found.switched_off(ways))


def test_a_way_that_hangs_is_left_for_the_next_one(breaks: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "WAIT_SECONDS", 8.0)
    breaks(lambda way: way.repack and way.flash, "a hang")
    found = verdict.find(Checks(None), ("F32",), HERE, threads=(1,))
    assert found.way == BY_NAME["flash"]
    assert " 8 s" in found.switched_off(HERE)


def test_what_was_found_is_kept_for_these_weights_and_these_ways(tmp_path: Path, breaks: Break) -> None:
    checks = Checks(tmp_path / "checks.json")
    breaks(lambda way: way.repack, "SIGSEGV")
    first = verdict.find(checks, TYPES, HERE, threads=(1,))
    breaks(lambda way: True, "SIGSEGV")
    assert verdict.find(checks, TYPES, HERE) == first == verdict.kept(checks, TYPES, HERE)
    assert verdict.kept(checks, ("Q8_0",), HERE) is None
    assert verdict.kept(checks, TYPES, WAYS) is None
    assert verdict.known_switched_off(checks, tmp_path / "any.gguf", TYPES) == first.switched_off(HERE) != ""
    verdict.forget(checks, TYPES, HERE)
    with pytest.raises(ModelError, match=r"wrongly .* every way"):
        verdict.find(checks, TYPES, HERE, threads=(1,))


def test_that_no_way_works_is_kept_too(tmp_path: Path, breaks: Break) -> None:
    checks = Checks(tmp_path / "checks.json")
    breaks(lambda way: True, "SIGSEGV")
    for _ in range(2):
        with pytest.raises(ModelError, match=r"SIGSEGV.*(-m pip install|make -C)"):
            verdict.find(checks, TYPES, HERE, threads=(1,))
        breaks(lambda way: False, "")


def test_a_build_for_another_processor_is_told_with_the_command_that_builds_it(breaks: Break) -> None:
    breaks(lambda way: True, "SIGILL")
    with pytest.raises(ModelError, match=r"another processor.*(-m pip install --force-reinstall|make -C)"):
        verdict.find(Checks(None), TYPES, HERE, threads=(1,))


def test_another_version_is_told_with_the_one_that_would_do(breaks: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.0.1")
    breaks(lambda way: True, "wrong numbers")
    with pytest.raises(ModelError, match=r'0\.0\.1 .*pip install "llama-cpp-python=='):
        verdict.find(Checks(None), TYPES, HERE, threads=(1,))


@pytest.mark.parametrize("finding", [{}, {"way": "faster than light", "problems": {}}, {"way": "plain", "problems": 1}])
def test_a_finding_that_cannot_be_understood_is_none(tmp_path: Path, finding: dict[str, Any]) -> None:
    checks = Checks(tmp_path / "checks.json")
    verdict.keep(checks, TYPES, HERE, Verdict(way=HERE[0], problems={}))
    about = verdict._about(TYPES, HERE)
    checks.put(verdict.KIND, about, finding)
    assert verdict.kept(checks, TYPES, HERE) is None
