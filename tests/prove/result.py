"""What a part of the proof found: its counts, what was wrong, and whether it could be run at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN = 5
"""Violations that are printed in full; the rest is counted."""


@dataclass(kw_only=True, slots=True)
class Result:
    """`violations` are sentences; a part with any of them has failed. `skipped` is why it was not run."""

    part: str
    counts: dict[str, int | str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        if self.skipped:
            return "SKIPPED"
        return "FAILED" if self.violations else "ok"

    def end(self) -> Result:
        self.seconds = time.monotonic() - self.began
        return self


def say(part: str, counts: Mapping[str, int | str]) -> None:
    """One line of progress."""
    print(f"{part}: {_listed(counts)}", flush=True)


def table(results: list[Result]) -> str:
    """All parts with their counts, one line each, and what was wrong below."""
    width = max(len(result.part) for result in results)
    lines = []
    for result in results:
        what = result.skipped or _listed(result.counts)
        lines.append(f"{result.part:<{width}}  {result.verdict:<7}  {result.seconds:7.1f} s  {what}")
        lines += [f"{'':<{width}}    - {text}" for text in result.violations[:SHOWN]]
        if (more := len(result.violations) - SHOWN) > 0:
            lines.append(f"{'':<{width}}    - and {more} more")
    return "\n".join(lines)


def _listed(counts: Mapping[str, int | str]) -> str:
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in counts.items()
    )
