"""A machine of known size with models on it, and daemons of models that try llama.cpp once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from agentd.cli import main
from agentd.models.library.shelf import Shelf
from agentd.models.llama import verdict
from agentd.models.llama.checks import NAME, Checks
from agentd.testing.gguf import chain, write_table_model
from tests.daemons import DaemonProcess

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


_ways: dict[str, dict[str, Any]] = {}
"""What trials of llama.cpp have found, by what they were about."""


@contextmanager
def tried(state_dir: Path) -> Iterator[Path]:
    """The file of checks in a state directory; it knows from the first in which way llama.cpp computes, if an earlier
    one of these has found that.

    A trial takes a second of the processor; `test_llama_ways` and `test_verdict` look at trials themselves.
    """
    path = Shelf(state_dir).directory / NAME
    checks = Checks(path)
    for about, finding in _ways.items():
        checks.put(verdict.KIND, about, finding)
    yield path
    found = checks.all(verdict.KIND).items()
    _ways.update({about: finding for about, finding in found if not finding["problems"]})


class ModelDaemon(DaemonProcess):
    """One whose checks are `tried`."""

    async def __aenter__(self) -> Self:
        self._tried = ExitStack()
        self._tried.enter_context(tried(self.state_dir))
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._tried.close()
