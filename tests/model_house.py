"""A machine of known size with models that were put on the shelf by hand, and `agentd model` on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.cli import main
from agentd.models.library.shelf import Shelf
from agentd.testing.gguf import chain, write_table_model

GIB = 1024**3


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many free cores and so much memory, whatever the tests run on."""
    monkeypatch.setattr("agentd.models.llama.machine.available_memory", lambda: 4 * GIB)
    monkeypatch.setattr("agentd.models.llama.machine.free_threads", lambda: 3)
    monkeypatch.setenv("AGENTD_CONFIG", "/dev/null")


def shelved(state_dir: Path, name: str = "small") -> Path:
    """A model that was put on the shelf by hand."""
    path = Shelf(state_dir).directory / f"{name}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table_model(path, chain("\n", " hello", " there"))
    return path


def agentd_model(state_dir: Path, *arguments: str) -> int:
    return main(["model", *arguments, "--state-dir", str(state_dir)])


NOTES = tuple(f" {note}" for note in "do re mi fa sol la ti ut si so".split())


def write_song_model(path: Path) -> None:
    """A model that never ends and, at temperature 1, never goes round in circles: any note follows any other."""
    any_note = {note: 1 / len(NOTES) for note in NOTES}
    write_table_model(path, {"\n": any_note, **dict.fromkeys(NOTES, any_note)})
