"""How the proof counts, shows and ends."""

from __future__ import annotations

import subprocess
import sys

from tests.prove import suites
from tests.prove.result import Result, table
from tests.prover import prove


def test_the_table_has_a_line_for_each_part_and_says_what_was_wrong() -> None:
    good = Result(part="kill", counts={"kills": 1000, "lost": 0})
    bad = Result(part="syscalls", violations=[f"violation {n}" for n in range(7)])
    skipped = Result(part="power-cut", skipped="no loop mounts")
    lines = table([good, bad, skipped]).splitlines()
    assert "ok" in lines[0] and "kills 1,000, lost 0" in lines[0]
    assert "FAILED" in lines[1] and "violation 0" in lines[2] and lines[7].endswith("and 2 more")
    assert "SKIPPED" in lines[8] and "no loop mounts" in lines[8]


def test_the_simulation_is_shared_between_two_processes_and_counted() -> None:
    result = suites.simulation(seeds=4)
    assert result.violations == [] and result.counts == {"passed": 4}


def test_a_suite_that_fails_is_a_violation_with_what_pytest_said() -> None:
    result = suites.suite("none", ["tests/test_no_such_file.py"], [{}])
    assert len(result.violations) == 1 and "test_no_such_file" in result.violations[0]


def test_an_unknown_part_is_told_with_those_that_there_are() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.prove", "power"], capture_output=True, text=True)
    assert done.returncode == 2 and "power-cut, kill, calls, syscalls" in done.stderr


def test_parts_can_be_chosen() -> None:
    shown = prove("simulation", SEEDS="2")
    assert shown.splitlines()[-1].startswith("simulation") and "2 seeds" not in shown
