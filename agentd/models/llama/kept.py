"""What a model keeps on disk for its later starts: how fast it is, and what its prompts begin with."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.models.llama import pace, snapshots
from agentd.models.llama.checks import Checks, here, of_file
from agentd.models.llama.pace import Model, Speeds
from agentd.models.llama.settings import ModelFile
from agentd.models.llama.snapshots import Snapshots
from agentd.models.llama.ways import Way


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """By default nothing is known, and nothing is written."""

    speeds: Speeds = field(default_factory=lambda: Speeds(Checks(None), ""))
    snapshots: Snapshots = field(default_factory=lambda: Snapshots(None, ""))


def open_kept(file: ModelFile, model: Model, way: Way, *, threads: int) -> Kept:
    """What is kept for this file. If nothing is known about its speed, that is measured now with the loaded `model`."""
    speeds = Speeds(Checks(file.checks), pace.about(file.path, threads))
    if not speeds.pace.read:
        speeds.set(pace.measure(model))
    directory = None if file.checks is None else file.checks.parent / snapshots.NAME
    return Kept(speeds=speeds, snapshots=Snapshots(directory, f"{here()} {way.name} {of_file(file.path)}"))
