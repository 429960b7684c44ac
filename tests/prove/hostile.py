"""Every kind of attack while somebody else asks all the time, with a clock and with what can be counted."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from agentd.errors import AgentdError
from tests.hostile.house import CALLBACK, MIB, SETTLED, Seen
from tests.hostile.kinds import ALL, attacked
from tests.prove.result import Result, say

WAIT = 1.0
"""Seconds for a question of somebody else."""
STOP = 30.0
"""Seconds for SIGTERM: `daemon.grace` and `daemon.hard_limit` together."""


def run() -> Result:
    """What each attack did is shown when it ends; `waits` is the longest question of somebody else."""
    result = Result(part="hostile")
    for kind in ALL:
        with tempfile.TemporaryDirectory() as place:
            try:
                seen = asyncio.run(attacked(kind, Path(place), asking=True)).seen
            except (AgentdError, AssertionError, OSError, TimeoutError) as error:
                result.violations.append(f"{kind}: {type(error).__name__} {error}")
                continue
        say(f"hostile, {kind}", _told(seen))
        result.violations += [f"{kind}: {wrong}" for wrong in _wrong(seen)]
        for name, figure in (("heaviest callback", seen.callback), ("longest wait", max(seen.waits))):
            before = float(str(result.counts.get(name, "0")).split()[0])
            result.counts[name] = f"{max(figure, before):.3f} s"
    result.counts["attacks"] = len(ALL)
    return result.end()


def _told(seen: Seen) -> dict[str, int | str]:
    return {
        "heaviest callback": f"{seen.callback:.3f} s",
        "longest wait": f"{max(seen.waits):.2f} s (idle {max(seen.idle):.2f} s)",
        "questions": len(seen.waits),
        "memory": f"{seen.before // MIB} MiB, peak {seen.peak // MIB}, after {seen.after // MIB}",
        "stopped in": f"{seen.stopped:.1f} s",
        "log": f"{seen.log // 1024} KiB",
    }


def _wrong(seen: Seen) -> list[str]:
    found = []
    if seen.callback > CALLBACK:
        found.append(f"a callback took {seen.callback:.2f} s: {seen.which}")
    if max(seen.waits) > WAIT + max(seen.idle):
        found.append(f"a question of somebody else took {max(seen.waits):.1f} s")
    if seen.grown > SETTLED:
        found.append(f"{seen.grown // MIB} MiB stayed")
    if seen.stopped > STOP:
        found.append(f"it ended {seen.stopped:.0f} s after SIGTERM")
    return found
