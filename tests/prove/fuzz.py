"""Every target of the fuzzer for FUZZ_MINUTES minutes, two at a time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import drive
from tests.fuzz.targets import TARGETS
from tests.prove.result import Result, say

AT_ONCE = 2
GRACE = 120.0
"""Seconds for the start, and for an input that is being made smaller."""


def run(*, minutes: float, seed: int = 1) -> Result:
    """`minutes` may be a fraction; what a target ends with is shown when it ends."""
    result = Result(part="fuzz")
    result.counts["inputs by"] = "coverage" if drive.guided() else "chance"
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(AT_ONCE) as threads:
        ended = threads.map(lambda name: (name, *_one(name, minutes * 60, Path(place) / name, seed)), TARGETS)
        for name, inputs, fault in ended:
            say("fuzz", {name: inputs})
            result.counts[name] = inputs
            if fault:
                result.violations.append(f"{name}:\n{fault}")
    return result.end()


def _one(name: str, seconds: float, corpus: Path, seed: int) -> tuple[int, str]:
    """The inputs that one target was fed, and what it printed if one of them broke something."""
    command = [sys.executable, "-m", "tests.fuzz", name, f"--seconds={seconds}", f"--corpus={corpus}", f"--seed={seed}"]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + GRACE, check=False
        )
    except subprocess.TimeoutExpired as error:
        return 0, f"it did not end; {(error.output or b'').decode(errors='replace')[-3000:]}"
    output = done.stdout.decode(errors="replace")
    return drive.inputs_told(output), "" if done.returncode == 0 else output[-4000:]
