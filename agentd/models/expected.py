"""How fast a model is on this machine: measured here, or estimated from a model of similar size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.models.llama.checks import Checks, of_file
from agentd.ports.models import Pace

KIND = "pace"
"""The kind of `Checks` under which the speeds of a model are kept, by its file and the number of threads."""
FARTHEST = 20.0
"""A model is not judged by one that is more than so many times larger or smaller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A model that ran here: `about` is what `checks.of_file` returns for its file, `size` its bytes."""

    about: str
    size: int
    pace: Pace


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """Tokens per second. `by` names the file from which they were estimated; "" if they were measured."""

    pace: Pace
    by: str = ""


def ran_here(checks: Checks) -> list[Ran]:
    """The models whose speeds were measured on this machine, each once, the newest first."""
    found: dict[str, Ran] = {}
    for about, finding in reversed(checks.all(KIND).items()):
        ran = _ran(about, finding)
        if ran is not None:
            found.setdefault(ran.about, ran)
    return list(found.values())


def _ran(about: str, finding: Mapping[str, Any]) -> Ran | None:
    """Reads what is kept as "NAME BYTES TIME N threads"; None for anything else."""
    parts = about.rsplit(" ", 4)
    read, write = _speed(finding.get("read")), _speed(finding.get("write"))
    if len(parts) != 5 or not parts[1].isdecimal() or read is None or write is None:
        return None
    return Ran(about=" ".join(parts[:3]), size=int(parts[1]), pace=Pace(read=read, write=write))


def _speed(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        return None
    return float(value)


def of_model(path: Path, ran: Sequence[Ran]) -> Expected | None:
    """How fast the model in this file is expected to be; None if nothing comparable ran here."""
    try:
        about, size = of_file(path), path.stat().st_size
    except OSError:
        return None
    measured = next((one for one in ran if one.about == about), None)
    return Expected(pace=measured.pace) if measured else of_size(size, ran)


def of_size(size: int, ran: Sequence[Ran]) -> Expected | None:
    """How fast a model of so many bytes is expected to be: both speeds go down as the bytes go up.

    To write a token, all weights are read from memory once; to read a prompt, all of them are computed with.
    """
    near = [one for one in ran if 1 / FARTHEST <= size / max(1, one.size) <= FARTHEST]
    if not near:
        return None
    one = min(near, key=lambda one: abs(math.log(size / one.size)))
    pace = Pace(read=one.pace.read * one.size / size, write=one.pace.write * one.size / size)
    return Expected(pace=pace, by=one.about.rsplit(" ", 2)[0])
