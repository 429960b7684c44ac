"""How fast a model reads and writes on this machine: measured once, learned from requests, kept for later starts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from agentd.models.llama.checks import Checks, of_file
from agentd.models.llama.job import Span
from agentd.models.speed import learned
from agentd.ports.models import Pace

KIND = "pace"
FEW, MOST, SECONDS = 16, 256, 0.4
"""Tokens of the first measurement; of the second one at most, which is to take about so many seconds."""
SINGLE = 4
"""Tokens that are written one by one to measure the speed of writing."""
WORTH_KEEPING = 0.1
"""A speed replaces the kept one if it differs by more than this share."""


class Model(Protocol):
    """What is measured: a `Driver`."""

    context: int

    def decode(self, spans: Sequence[Span]) -> Literal["done", "full", "failed"]: ...

    def clear(self, sequence: int) -> None: ...


def about(path: Path, threads: int) -> str:
    """The subject of a kept pace: a model file and the number of threads."""
    return f"{of_file(path)} {threads} threads"


def known(checks: Checks, path: Path, threads: int) -> Pace | None:
    """The kept pace of this file; None if there is none."""
    speeds = Speeds(checks, about(path, threads))
    return speeds.pace if speeds.pace.read else None


def measure(model: Model, clock: Callable[[], float] = time.monotonic) -> Pace:
    """Takes a second at most on an ordinary processor. The cache must be empty, and is empty afterwards."""
    few = _seconds(model, _prompt(FEW), clock)
    if few is None:
        return Pace(read=0.0, write=0.0)
    more = max(FEW, min(MOST, model.context // 2, int(FEW / few * SECONDS)))
    model.clear(0)
    read = _seconds(model, _prompt(more), clock)
    singles = [Span(slot=0, start=more + n, tokens=[n], last=True) for n in range(SINGLE)]
    writing = [seconds for span in singles if (seconds := _seconds(model, span, clock)) is not None]
    model.clear(0)
    return Pace(read=more / read if read else 0.0, write=1 / statistics.median(writing) if writing else 0.0)


def _prompt(length: int) -> Span:
    """A prompt of tokens that every vocabulary has."""
    return Span(slot=0, start=0, tokens=[n % FEW for n in range(length)], last=True)


def _seconds(model: Model, span: Span, clock: Callable[[], float]) -> float | None:
    start = clock()
    done = model.decode([span]) == "done"
    return max(clock() - start, 1e-6) if done else None


class Speeds:
    """The speeds of one model, in tokens per second; 0 as long as nothing is known. Clear changes are kept."""

    def __init__(self, checks: Checks, about: str) -> None:
        self._checks, self._about = checks, about
        found = checks.get(KIND, about) or {}
        self.pace = self._kept = Pace(read=_speed(found.get("read")), write=_speed(found.get("write")))

    def set(self, pace: Pace) -> None:
        """Take what was measured."""
        self.pace = pace
        self._keep()

    def learn(self, *, read: int, read_seconds: float, written: int, write_seconds: float) -> bool:
        """Learn from a request that ran alone; whether that changed anything."""
        pace = learned(self.pace, read=read, read_seconds=read_seconds, written=written, write_seconds=write_seconds)
        if pace == self.pace:
            return False
        self.pace = pace
        if _far(pace.read, self._kept.read) or _far(pace.write, self._kept.write):
            self._keep()
        return True

    def _keep(self) -> None:
        self._kept = self.pace
        self._checks.put(KIND, self._about, {"read": round(self.pace.read, 2), "write": round(self.pace.write, 2)})


def _far(speed: float, kept: float) -> bool:
    return abs(speed - kept) > WORTH_KEEPING * kept


def _speed(value: Any) -> float:
    """The value as a speed; 0 if it is not one, because anybody may have written the file."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 < value < 1e9 else 0.0
