"""The parts of the proof that are tests in their long form: pytest is run on them, and what they count is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.prove.result import Result

_COUNTED = re.compile(r"((?:\d+ seeds from|seed \d+:|faults of).*)")
_MUTANT = re.compile(r"_is_noticed\S* PASSED")
_PASSED = re.compile(r"(\d+) (passed|failed|error|skipped)")


def simulation(*, seeds: int) -> Result:
    """Delivery in virtual time, in so many worlds, two processes side by side."""
    half = seeds // 2
    shares = [(0, half), (half, seeds - half)] if half else [(0, seeds)]
    environments = [{"FIRST_SEED": str(first), "SEEDS": str(count)} for first, count in shares]
    return suite("simulation", ["tests/delivery/test_simulation.py"], environments)


def crash_states() -> Result:
    """The crash-state enumerator with several seeds and larger samples."""
    environment = {"CRASH_SEEDS": "10", "CRASH_LIMIT": "400", "CRASH_NESTED": "8"}
    return suite(
        "crash-states", ["tests/whole/test_crash_states.py", "tests/turns/test_crash_states.py"], [environment]
    )


def faults() -> Result:
    """Errors of the disk at each call, and random lives against a model."""
    files = ["tests/pending/test_faults.py", "tests/pending/test_properties.py"]
    return suite("faults", files, [{"PROPERTY_EXAMPLES": "1000", "FAULT_STEP": "1"}])


def suite(part: str, files: list[str], environments: list[dict[str, str]]) -> Result:
    """One process for each environment; of what the tests print, the counts are shown."""
    result = Result(part=part)
    command = [sys.executable, "-m", "pytest", "-v", "-s", "-p", "no:cacheprovider", "--timeout=1800", *files]
    processes = [
        subprocess.Popen(command, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for more in environments
    ]
    for process in processes:
        out, _ = process.communicate()
        text = out.decode(errors="replace")
        for line in text.splitlines():
            if counted := _COUNTED.search(line):
                print(f"{part}: {counted[1]}", flush=True)
        if caught := len(_MUTANT.findall(text)):
            result.counts["mutants caught"] = caught
        for count, what in _PASSED.findall(text.rstrip().rpartition("\n")[2]):
            before = result.counts.get(what, 0)
            result.counts[what] = int(count) + (before if isinstance(before, int) else 0)
        if process.returncode != 0:
            result.violations.append(f"pytest ended with {process.returncode}:\n{text[-3000:]}")
    return result.end()
