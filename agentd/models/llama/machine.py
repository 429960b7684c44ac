"""How many processor cores and how much memory this process may really use, on Linux and as far as it can tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

FEW = 4
"""Cores up to which all of them compute: with so few, one less costs more than whatever else runs beside the model."""
NICENESS = 5
"""What the process of a model adds to its own, so that the daemon comes first where both are weighed together."""

_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, use and what of the use can be dropped; version 2 of cgroups, then version 1."""


def free_threads(root: Path = ROOT, cpus: set[int] | None = None) -> int:
    """Physical cores of the process's affinity within the cgroup's quota, one less if they are more than `FEW`."""
    cpus = os.sched_getaffinity(0) if cpus is None else cpus
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = float(len({_read(root / topology.format(cpu)) or str(cpu) for cpu in cpus}))
    for directory in _cgroups(root, "cpu"):
        quota, _, period = _read(directory / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = (_read(directory / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit():  # neither "max" nor -1, which mean no quota
            cores = min(cores, int(quota) / int(period))
    whole = max(1, int(cores))
    return whole if whole <= FEW else whole - 1


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that can be had without swapping: of the machine and of every cgroup around us; None where unknown."""
    found = [limit for directory in _cgroups(root, "memory") if (limit := _left_in(directory)) is not None]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    return min(found, default=None)


def all_memory(root: Path = ROOT) -> int | None:
    """Bytes of the machine, or of the smallest cgroup around us; None where unknown."""
    names = [name for name, *_ in _MEMORY_FILES]
    inside = (_number(directory / name) for directory in _cgroups(root, "memory") for name in names)
    found = [limit for limit in inside if limit is not None]
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            found.append(int(line.split()[1]) * 1024)
    return min(found, default=None)


def _left_in(cgroup: Path) -> int | None:
    """The limit less what is used; cached files that can be dropped count as free."""
    for limit_name, used_name, cached_name in _MEMORY_FILES:
        limit, used = _number(cgroup / limit_name), _number(cgroup / used_name)
        if limit is not None and used is not None:
            stat = dict(line.split(maxsplit=1) for line in _read(cgroup / "memory.stat").splitlines())
            return max(0, limit - used + int(stat.get(cached_name, 0)))
    return None


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of our cgroup and of those around it, as far as they can be seen."""
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
    """None for a file that is not there or says "max"."""
    text = _read(path).strip()
    return int(text) if text.isdigit() else None
