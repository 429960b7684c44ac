"""`python -m tests.prove [PART ...]`: run the proof, show its counts as it goes, and end with a table.

Parts: power-cut, kill, calls, syscalls, simulation, crash-states, faults, hostile, fuzz; none or `all` is all of them.
The environment scales it: CUTS power cuts (1000), KILLS kills of the daemon (1000), CALL_KILLS kills in turns that call
tools (500), SEEDS simulated worlds (10000), SEED where they start, and FUZZ_MINUTES minutes for each target of the
fuzzer (1).
Exits 1 if anything was lost or broke.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from tests.prove import calls, fuzz, hostile, kills, power_cut, suites, syscalls
from tests.prove.result import Result, table


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


PARTS: dict[str, Callable[[], Result]] = {
    "power-cut": lambda: power_cut.run(cuts=_number("CUTS", 1000), seed=_number("SEED", 1)),
    "kill": lambda: kills.run(kills=_number("KILLS", 1000), seed=_number("SEED", 1)),
    "calls": lambda: calls.run(kills=_number("CALL_KILLS", 500), seed=_number("SEED", 1)),
    "syscalls": lambda: syscalls.run(every=_number("EVERY", 1)),
    "simulation": lambda: suites.simulation(seeds=_number("SEEDS", 10_000)),
    "crash-states": suites.crash_states,
    "faults": suites.faults,
    "hostile": hostile.run,
    "fuzz": lambda: fuzz.run(minutes=float(os.environ.get("FUZZ_MINUTES", "1")), seed=_number("SEED", 1)),
}


def main(arguments: Sequence[str]) -> int:
    names = [name for name in arguments if name != "all"] or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        print(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)} and all", file=sys.stderr)
        return 2
    logging.disable(logging.CRITICAL)
    results = []
    for name in names:
        print(f"--- {name}", flush=True)
        results.append(PARTS[name]())
        print(table(results[-1:]), flush=True)
    print("--- all parts", flush=True)
    print(table(results), flush=True)
    return 1 if any(result.violations for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
