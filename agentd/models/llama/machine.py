"""How many processor cores and how much memory this process may really use, as far as Linux tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

FEW = 4
"""Up to so many cores, all of them compute: with so few, one core less costs more than what runs beside the model."""
NICENESS = 5
"""Added to the niceness of a model's process, so that the daemon comes first."""

_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, use, and the part of the use that can be dropped; version 2 of cgroups, then version 1."""


def free_threads(root: Path = ROOT, cpus: set[int] | None = None) -> int:
    """Physical cores that affinity and cgroup allow; one less if they are more than `FEW`."""
    cpus = os.sched_getaffinity(0) if cpus is None else cpus
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = float(len({_read(root / topology.format(cpu)) or str(cpu) for cpu in cpus}))
    for directory in _cgroups(root, "cpu"):
        quota, _, period = _read(directory / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = (_read(directory / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit():  # "max" and -1 mean that there is no quota
            cores = min(cores, int(quota) / int(period))
    usable = max(1, int(cores))
    return usable if usable <= FEW else usable - 1


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that are free without swapping, on the machine and in every cgroup around us; None if unknown."""
    found = [limit for directory in _cgroups(root, "memory") if (limit := _left_in(directory)) is not None]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    return min(found, default=None)


def all_memory(root: Path = ROOT) -> int | None:
    """Bytes of the machine, or of the smallest cgroup around us; None if unknown."""
    names = [name for name, *_ in _MEMORY_FILES]
    inside = (_number(directory / name) for directory in _cgroups(root, "memory") for name in names)
    found = [limit for limit in inside if limit is not None]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            found.append(int(line.split()[1]) * 1024)
    return min(found, default=None)


def _left_in(cgroup: Path) -> int | None:
    """The limit minus the use; cached files that can be dropped count as free."""
    for limit_name, used_name, cached_name in _MEMORY_FILES:
        limit, used = _number(cgroup / limit_name), _number(cgroup / used_name)
        if limit is not None and used is not None:
            stat = dict(line.split(maxsplit=1) for line in _read(cgroup / "memory.stat").splitlines())
            return max(0, limit - used + int(stat.get(cached_name, 0)))
    return None


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of our cgroup and of the visible ones around it."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, inside = line.split(":", 2)
        if not controllers:
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
        else:
            continue
        path = mount / inside.lstrip("/")
        yield from (directory for directory in (path, *path.parents) if directory.is_relative_to(mount))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """None if the file does not exist or says "max"."""
    text = _read(path).strip()
    return int(text) if text.isdigit() else None
