"""The delivery benchmark's smallest runs: what is counted, and the form of its rows. Nothing here looks at speed."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from agentd.pending import PendingDirectory
from bench import cycles, delivery, recovery
from bench.delivery import Measured, Plan
from bench.report import Row
from tests.unfinished import unfinished

SHORT = 0.3


async def test_a_cycle_of_ours_leaves_nothing_pending_and_needs_six_syncs(tmp_path: Path) -> None:
    ran = await cycles.ours(tmp_path, 1, SHORT, 0.0)
    assert ran.per_second > 0 and ran.latencies
    assert (ran.syncs_per_cycle, ran.commits_per_cycle) == (5, 1)
    (kept,) = os.listdir(tmp_path)
    assert set(os.listdir(tmp_path / kept / "pending")) <= {".reserve"}


async def test_sessions_at_once_share_their_commits(tmp_path: Path) -> None:
    ran = await cycles.ours(tmp_path, 16, SHORT, 0.002)
    assert ran.syncs_per_cycle == 5 and 0 < ran.commits_per_cycle < 1


async def test_the_peers_run_too(tmp_path: Path) -> None:
    naive = await cycles.naive(tmp_path, 4, SHORT, 0.0)
    raw = await asyncio.to_thread(cycles.raw, tmp_path, 4, SHORT, 0.0, 0.25)
    assert naive.per_second > 0 and raw.per_second > 0 and raw.latencies


def test_bare_syncs_write_as_many_bytes_as_ours() -> None:
    plan = cycles.sizes(cycles.Questions())
    assert len(plan) == 5 and plan[0] > 1024 and plan[2] > 1024


async def test_the_judged_rows_are_there_under_their_names(tmp_path: Path) -> None:
    plan = Plan(concurrent=(1, 64), rounds=1, as_it_is=1, seconds=2 * SHORT)
    found = Measured()
    await delivery._round(plan, tmp_path, delivery.SLOW, found.slow)
    rows = {row.name: row for row in delivery.cycle_rows(plan, found)}
    for name, peer in (
        ("cycles_64_vs_naive", "naive"),
        ("cycles_64_vs_raw", "raw"),
        ("lone_p50_vs_syncs", "syncs in a row"),
    ):
        assert rows[name].peer == peer and rows[name].ratio > 0
    assert {"lone_p99", "lone_syncs", "cycles_64_ours_4ms"} <= rows.keys()


async def test_a_filled_directory_is_found_whole_and_a_daemon_starts_on_it(tmp_path: Path) -> None:
    state = tmp_path / "s"
    recovery.fill(state, 20)
    async with PendingDirectory(state) as pending:
        assert len(await unfinished(pending)) == 20 and not pending.aside
        assert sum(bool(turn.outbound_id) for turn in (await unfinished(pending)).values()) == 10
    started = await recovery.start(state)
    assert started.seconds > 0 and started.memory > 1


async def test_recovery_is_measured_against_its_limits(tmp_path: Path) -> None:
    rows = await delivery.recovery_rows(Plan(events=1000, starts=1), tmp_path)
    assert [row.name for row in rows] == ["recovery_1k_s", "recovery_1k_mb", "empty_start_s"]
    assert all(isinstance(row, Row) and re.fullmatch(r"\w+", row.name) for row in rows)
    assert [row.peer_value for row in rows[:2]] == [2.0, 300.0]
