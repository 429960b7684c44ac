"""Runs one target: some fixed examples, or as many as go into a time, guided by coverage if atheris is there."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

CPU_SECONDS = 0.25
"""Of the processor, for one input: what the event loop may be held at most."""
GUIDED = 3
"""Code that tells what is reached takes so many times as long."""
_LARGE = ("-len_control=0", "-timeout=60")
"""Inputs are long from the beginning: a short one draws nothing."""
_ROUND = 200
"""Examples between two looks at the clock."""
Check = Callable[[Any], None]


class TooSlow(AssertionError):
    """An input of a few thousand characters took longer than the event loop may be held."""


def guided() -> bool:
    """Whether atheris is there, which chooses inputs by what they reach."""
    return importlib.util.find_spec("atheris") is not None


class Counted:
    """A check that counts its inputs, limits its time, and says for which input it failed."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.inputs = 0

    def __call__(self, value: Any) -> None:
        self.inputs += 1
        try:
            began = time.thread_time()
            self._check(value)
            took = time.thread_time() - began
            most = CPU_SECONDS * (GUIDED if guided() else 1)
            if took > most and self._again(value) > most:
                raise TooSlow(f"it took {took:.2f} s of the processor")
        except Exception as error:
            error.add_note(f"for the input {value!r:.4000}")
            raise

    def _again(self, value: Any) -> float:
        """The second time nothing is read, compiled or collected for the first time."""
        began = time.thread_time()
        self._check(value)
        return time.thread_time() - began


def examples(inputs: SearchStrategy[Any], check: Check, count: int, *, first: int | None = None) -> int:
    """Try `count` examples, always the same if `first` is None; the number of inputs that were tried."""
    counted = Counted(check)
    chosen = settings(
        max_examples=count,
        derandomize=first is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )

    @chosen
    @given(inputs)
    def once(value: Any) -> None:
        counted(value)

    (once if first is None else seed(first)(once))()
    return counted.inputs


def for_seconds(inputs: SearchStrategy[Any], check: Check, seconds: float, *, first: int) -> int:
    """Try random examples for so long; the number of inputs that were tried."""
    until = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < until:
        tried += examples(inputs, check, _ROUND, first=first + tried)
    return tried


def by_coverage(inputs: SearchStrategy[Any], check: Check, seconds: float, corpus: Path, *, first: int) -> None:
    """The same, guided by what is reached; ends the process, with 0 if nothing was found."""
    import atheris

    counted = Counted(check)

    @given(inputs)
    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def once(value: Any) -> None:
        counted(value)

    corpus.mkdir(parents=True, exist_ok=True)
    flags = [f"-max_total_time={seconds:.0f}", "-print_final_stats=1", f"-artifact_prefix={corpus}/", f"-seed={first}"]
    fuzzed: Any = once
    atheris.Setup([sys.argv[0], *flags, "-max_len=16384", *_LARGE, str(corpus)], fuzzed.hypothesis.fuzz_one_input)
    atheris.Fuzz()


_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)|^inputs (\d+)", re.MULTILINE)


def inputs_told(output: str) -> int:
    """How many inputs were tried, from what `python -m tests.fuzz` printed."""
    return sum(int(one or other) for one, other in _EXECUTED.findall(output))
