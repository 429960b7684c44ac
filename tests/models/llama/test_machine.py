from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agentd.models.llama import machine


def system(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/user/agentd\n"}
SIBLINGS = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (4, 4), (5, 4), (8, 7)])
def test_few_cores_compute_all_and_of_many_one_is_left_to_everything_else(
    tmp_path: Path, cpus: int, threads: int
) -> None:
    assert machine.free_threads(tmp_path, set(range(cpus))) == threads


def test_two_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = system(tmp_path, {SIBLINGS.format(cpu): f"{cpu % 4},{cpu % 4 + 4}\n" for cpu in range(8)})
    assert machine.free_threads(root, set(range(8))) == 4


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({**V2, "sys/fs/cgroup/user/agentd/cpu.max": "300000 100000\n"}, 3),
        ({**V2, "sys/fs/cgroup/user/cpu.max": "200000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/user/agentd/cpu.max": "max 100000\n"}, 7),
        ({**V2, "sys/fs/cgroup/user/agentd/cpu.max": "50000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "4:cpu:/docker\n0::/\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            7,
        ),
    ],
)
def test_the_quota_of_a_cgroup_around_us_counts(tmp_path: Path, files: dict[str, str], threads: int) -> None:
    assert machine.free_threads(system(tmp_path, files), set(range(8))) == threads


MEMINFO = {"proc/meminfo": "MemTotal:       9000000 kB\nMemAvailable:    8000000 kB\n"}


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        (MEMINFO, 8_192_000_000),
        (
            {
                **MEMINFO,
                **V2,
                "sys/fs/cgroup/user/memory.max": "1000000000\n",
                "sys/fs/cgroup/user/memory.current": "400000000\n",
                "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 100000000\n",
            },
            700_000_000,
        ),
        ({**MEMINFO, **V2, "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"}, 8_192_000_000),
        (
            {
                "proc/self/cgroup": "4:memory:/job\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "500\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "900\n",
            },
            0,
        ),
    ],
)
def test_memory_is_what_the_machine_and_every_cgroup_leave(
    tmp_path: Path, files: dict[str, str], available: int | None
) -> None:
    assert machine.available_memory(system(tmp_path, files)) == available


def test_this_machine_has_at_least_a_thread_and_some_memory() -> None:
    assert machine.free_threads() >= 1
    assert (machine.available_memory() or 1) > 0


def test_all_memory_is_that_of_the_machine_or_of_the_smallest_cgroup(tmp_path: Path) -> None:
    system(tmp_path, {"proc/meminfo": "MemTotal: 4000 kB\nMemAvailable: 1000 kB\n", "proc/self/cgroup": "0::/a/b\n"})
    assert machine.all_memory(tmp_path) == 4000 * 1024
    system(tmp_path, {"sys/fs/cgroup/a/memory.max": "3000000\n", "sys/fs/cgroup/a/b/memory.max": "max\n"})
    assert machine.all_memory(tmp_path) == 3_000_000
    assert machine.all_memory(tmp_path / "elsewhere") is None
