"""Delivery beside simpler designs: cycles per second, the latency of a lone message, and recovery.

`python -m bench.delivery [--quick] [--json FILE]`. Rows that are judged, on a disk whose every sync takes 4 ms longer:

cycles_64_vs_naive   64 sessions, beside a bus of the naive shape
cycles_64_vs_raw     64 sessions, beside a thread pool that only syncs
lone_p50_vs_syncs    one lone message, beside the syncs that it needs in a row
recovery_100k_s      how much later than an empty start a daemon is ready with 100,000 pending events
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import cycles, recovery
from bench.cycles import Ran
from bench.report import PICTURES, Panel, Row, compare, draw, limited, shown, table, write_json

SLOW = 0.004
"""Seconds that are added to each sync of the judged rounds."""
JUDGED = 64
RECOVERY_LIMIT_SECONDS, RECOVERY_LIMIT_MB = 2.0, 300.0
WAYS = ("ours", "naive", "raw")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much is measured; `as_it_is` rounds run on the disk without any delay."""

    concurrent: Sequence[int] = (1, 8, 64, 512)
    rounds: int = 5
    as_it_is: int = 3
    seconds: float = 2.0
    events: int = 100_000
    starts: int = 3


QUICK = Plan(concurrent=(1, 64), rounds=3, as_it_is=1, seconds=0.8, starts=1)


@dataclass(slots=True)
class Measured:
    """Runs by way and number of sessions, on the slow disk and on the disk as it is."""

    slow: dict[tuple[str, int], list[Ran]] = field(default_factory=dict)
    as_it_is: dict[tuple[str, int], list[Ran]] = field(default_factory=dict)


async def measure(plan: Plan, place: Path) -> Measured:
    """Run all cycles with the ways interleaved, so that a change of the machine's load meets all of them."""
    found = Measured()
    for n in range(max(plan.rounds, plan.as_it_is)):
        if n < plan.rounds:
            await _round(plan, place, SLOW, found.slow)
        if n < plan.as_it_is:
            await _round(plan, place, 0.0, found.as_it_is)
    return found


async def _round(plan: Plan, place: Path, delay: float, found: dict[tuple[str, int], list[Ran]]) -> None:
    for concurrent in plan.concurrent:
        ours = await cycles.ours(place, concurrent, plan.seconds, delay)
        naive = await cycles.naive(place, concurrent, plan.seconds, delay)
        raw = await asyncio.to_thread(cycles.raw, place, concurrent, plan.seconds, delay, ours.commits_per_cycle)
        for way, ran in zip(WAYS, (ours, naive, raw), strict=True):
            found.setdefault((way, concurrent), []).append(ran)


def cycle_rows(plan: Plan, found: Measured) -> list[Row]:
    """The judged rows, then the rows for every number of sessions on both disks."""
    rows = []
    if JUDGED in plan.concurrent:
        ours = _rates(found.slow, "ours", JUDGED)
        for peer in ("naive", "raw"):
            theirs = _rates(found.slow, peer, JUDGED)
            rows.append(compare(f"cycles_64_vs_{peer}", "cycles/s", ours, peer, theirs, better="more"))
    if 1 in plan.concurrent:
        rows += _lone_rows(found)
    for concurrent in plan.concurrent:
        for name, runs in (("4ms", found.slow), ("as_it_is", found.as_it_is)):
            for way in WAYS:
                if (way, concurrent) in runs:
                    rows.append(shown(f"cycles_{concurrent}_{way}_{name}", "cycles/s", _rates(runs, way, concurrent)))
    return rows


def _rates(runs: dict[tuple[str, int], list[Ran]], way: str, concurrent: int) -> list[float]:
    return [ran.per_second for ran in runs[way, concurrent]]


def _lone_rows(found: Measured) -> list[Row]:
    """A cycle of one session needs its syncs one after the other; a bare cycle of one thread is only those syncs."""
    alone, bare = found.slow["ours", 1], found.slow["raw", 1]
    p50 = [statistics.median(ran.latencies) * 1000 for ran in alone]
    syncs = [statistics.median(ran.latencies) * 1000 for ran in bare]
    return [
        compare("lone_p50_vs_syncs", "ms", p50, "syncs in a row", syncs, better="less"),
        shown("lone_p99", "ms", [_p99(ran.latencies) * 1000 for ran in alone]),
        shown("lone_syncs", "syncs", [ran.syncs_per_cycle + ran.commits_per_cycle for ran in alone]),
    ]


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


async def recovery_rows(plan: Plan, place: Path) -> list[Row]:
    """Starts with very many pending events beside starts with none; the files are in the page cache."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        full, empty = Path(directory) / "full", Path(directory) / "empty"
        await asyncio.to_thread(recovery.fill, full, plan.events)
        await recovery.start(empty)
        await recovery.start(full)
        starts = [(await recovery.start(empty), await recovery.start(full)) for _ in range(plan.starts)]
    later = max(0.001, statistics.median(full.seconds - empty.seconds for empty, full in starts))
    memory = statistics.median(full.memory for _, full in starts)
    name = f"recovery_{plan.events // 1000}k"
    return [
        limited(f"{name}_s", later, "s", RECOVERY_LIMIT_SECONDS),
        limited(f"{name}_mb", memory, "MB", RECOVERY_LIMIT_MB),
        shown("empty_start_s", "s", [empty.seconds for empty, _ in starts]),
    ]


def panels(plan: Plan, found: Measured) -> list[Panel]:
    """The panels of the picture."""

    def bars(runs: dict[tuple[str, int], list[Ran]], title: str) -> Panel:
        series = {way: [statistics.median(_rates(runs, way, n)) for n in plan.concurrent] for way in WAYS}
        groups = [f"{n} sessions" if n > 1 else "1 session" for n in plan.concurrent]
        return Panel(title=title, unit="cycles/s", groups=groups, series=series, logarithmic=True)

    return [bars(found.slow, "4 ms added to each sync"), bars(found.as_it_is, "the disk as it is")]


async def run(plan: Plan, place: Path, picture: Path | None) -> list[Row]:
    """Run everything; prints the table, and draws the picture if one is wanted."""
    found = await measure(plan, place)
    # Afterwards, because a file system that has just lost 100,000 files can make new ones slow for minutes.
    recovered = await recovery_rows(plan, place)
    rows = [*cycle_rows(plan, found), *recovered]
    print(table(rows))
    if picture is not None:
        title = "publish → accept → transaction → answer → ack, 1 KiB each way"
        drawn = draw(panels(plan, found), picture, title=title)
        print(f"\npicture: {picture}" if drawn else "\nno picture: install matplotlib (pip install --group bench)")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="measure the disk of this directory (default: temporary)"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw here (default: docs/benchmarks/delivery.svg, not if --quick)"
    )
    options = parser.parse_args()
    picture = options.picture or (None if options.quick else PICTURES / "delivery.svg")
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        rows = asyncio.run(run(QUICK if options.quick else Plan(), Path(place), picture))
    if options.json is not None:
        write_json(rows, options.json)


if __name__ == "__main__":
    main()
