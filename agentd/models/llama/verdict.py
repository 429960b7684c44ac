"""In which way llama.cpp can compute with the weights of a file here: tried once, and kept for later starts."""

from __future__ import annotations

import importlib.metadata
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.errors import ModelError
from agentd.models.llama.checks import Checks
from agentd.models.llama.standing import read
from agentd.models.llama.ways import BY_NAME, Way, allowed, rebuild_hint

log = logging.getLogger(__name__)

KIND = "way"
EXPECTED = "0.3.36"
"""The version of llama-cpp-python for which this package was written."""
TRIALS = 1
"""The version of the self-test; results of an earlier version do not count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The first way that works, None if none does, and the problem of each way before it, by its name."""

    way: Way | None
    problems: Mapping[str, str]

    def switched_off(self, ways: Sequence[Way]) -> str:
        """A sentence that says what the fastest of these ways has, is switched off, and why; "" if nothing is."""
        if self.way is None or not self.problems:
            return ""
        return switched_off(self.way, ways[0], next(iter(self.problems.values())))


def switched_off(way: Way, fastest: Way, why: str) -> str:
    """A sentence that says what `fastest` has and `way` has not, and why; "" if that is nothing."""
    missing = way.without(fastest)
    return f"llama.cpp computes {missing} on this machine, because with that {why}." if missing else ""


def kept(checks: Checks, types: Sequence[str], ways: Sequence[Way]) -> Verdict | None:
    """The verdict of an earlier trial of these ways; None if there was none."""
    found = checks.get(KIND, _about(types, ways))
    return None if found is None else _verdict(found)


def known_switched_off(checks: Checks, path: Path, types: Sequence[str]) -> str:
    """What is switched off for this file and why, as far as that is known without a trial; "" if nothing is."""
    standing = read(checks, path)
    for ways in (allowed(gpu=True), allowed(gpu=False)):
        found = kept(checks, types, ways)
        if found is not None and standing.way in BY_NAME:
            return switched_off(BY_NAME[standing.way], ways[0], standing.why)
        if found is not None:
            return found.switched_off(ways)
    return ""


def forget(checks: Checks, types: Sequence[str], ways: Sequence[Way]) -> None:
    checks.forget(KIND, _about(types, ways))


def keep(checks: Checks, types: Sequence[str], ways: Sequence[Way], verdict: Verdict) -> None:
    finding = {"way": verdict.way.name if verdict.way else None, "problems": dict(verdict.problems)}
    checks.put(KIND, _about(types, ways), finding)


def find(checks: Checks, types: Sequence[str], ways: Sequence[Way], *, threads: Sequence[int] = ()) -> Verdict:
    """The first of these ways that computes correctly with such weights; they are tried now if that is not known.

    They are tried with each of the numbers of `threads`. If no way works, `ModelError` says what to do.
    """
    verdict = kept(checks, types, ways)
    if verdict is None:
        start = time.perf_counter()
        verdict = _tried(types, ways, threads)
        log.debug("llama.cpp was tried with %s in %.1f s", ", ".join(types), time.perf_counter() - start)
        keep(checks, types, ways, verdict)
    if verdict.way is None:
        raise ModelError(_unusable(verdict.problems))
    return verdict


def _tried(types: Sequence[str], ways: Sequence[Way], threads: Sequence[int]) -> Verdict:
    from agentd.models.llama.selftest import Trials, several  # imports llama.cpp, which a kept verdict does not need

    problems: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="agentd-trial-") as directory:
        trials = Trials(Path(directory), types)
        for way in ways:
            problem = trials.problem(way, threads or several())
            if not problem:
                return Verdict(way=way, problems=problems)
            log.warning("llama.cpp does not work with %s: %s", way.name, problem)
            problems[way.name] = problem
    return Verdict(way=None, problems=problems)


def _unusable(problems: Mapping[str, str]) -> str:
    version = importlib.metadata.version("llama-cpp-python")
    plainest = list(problems.values())[-1]
    if "SIGILL" in plainest:
        return f"llama.cpp was built for another processor ({plainest}); build it on this machine: {rebuild_hint()}"
    if version != EXPECTED:
        return (
            f"llama-cpp-python {version} does not do what agentd expects ({plainest}); install the version that"
            f' agentd was made for: pip install "llama-cpp-python=={EXPECTED}".'
        )
    return f"llama.cpp computes wrongly on this machine in every way ({plainest}); build it here: {rebuild_hint()}"


def _about(types: Sequence[str], ways: Sequence[Way]) -> str:
    return f"{','.join(types)} {','.join(way.name for way in ways)} {TRIALS}"


def _verdict(found: Mapping[str, Any]) -> Verdict | None:
    """A kept verdict; None if an editor or a later version wrote something else."""
    way, problems = found.get("way"), found.get("problems")
    if not isinstance(problems, dict) or (way is not None and way not in BY_NAME):
        return None
    return Verdict(
        way=None if way is None else BY_NAME[way], problems={str(name): str(why) for name, why in problems.items()}
    )
