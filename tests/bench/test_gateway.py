"""The benchmark of the gateway runs, and its rows are those that are judged."""

from __future__ import annotations

from dataclasses import replace

from bench.gateway import Plan, run


async def test_every_row_is_measured() -> None:
    small = Plan(rounds=1, clients=3, seconds=1.0, spread=0.1, accept_seconds=0.3, many=0, idle=(0, 3), requests=2)
    plan = replace(small, page=False)
    rows, panels = await run(plan)
    found = {row.name: row for row in rows}
    assert set(found) == {"chunk_p50_3", "chunk_p99_3", "idle_connection_kib", "openai_overhead_ms", "accepts_per_s"}
    assert all(row.peer for row in rows) and len(panels) == 1
    assert found["accepts_per_s"].value > 0 and found["openai_overhead_ms"].value > 0
