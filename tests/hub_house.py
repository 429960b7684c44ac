"""A shelf and a local hub with one tiny model, for tests of everything that pulls."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path

import pytest

from agentd.delivery.backoff import Backoff
from agentd.host.http import Waits
from agentd.models.library.pull import Pulled, pull
from agentd.models.library.shelf import Shelf
from agentd.models.library.sources import HubFile, Source
from agentd.testing.gguf import write_table_model
from agentd.testing.hub import Hub

NAME = "o/r/small.gguf"
SOURCE = HubFile(name="small", repo="o/r", file="small.gguf")


@cache
def tiny_model() -> bytes:
    """A real model of 2.6 MB."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "small.gguf"
        write_table_model(path, {"a": "b"})
        return path.read_bytes()


class House:
    def __init__(self, hub: Hub, state_dir: Path) -> None:
        self.hub = hub
        self.shelf = Shelf(state_dir)
        self.told: list[tuple[str, int, int]] = []

    async def pull(self, source: Source = SOURCE, *, name: str | None = None, replace: bool = False) -> Pulled:
        work = partial(pull, name=name, replace=replace, endpoint=self.hub.url)
        return await asyncio.to_thread(work, source, self.shelf, lambda *told: self.told.append(told))

    @property
    def partials(self) -> list[Path]:
        return list(self.shelf.partial.iterdir()) if self.shelf.partial.is_dir() else []


@asynccontextmanager
async def house(state_dir: Path, model: bytes) -> AsyncIterator[House]:
    """The hub is `h.hub`; waits, which are too long for tests, are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentd.models.library.download.WAITS", Waits(head=5.0, piece=0.3))
        patch.setattr("agentd.models.library.download.PAUSES", Backoff(first=0.0, longest=0.0))
        patch.setattr("agentd.models.library.hub.SECONDS", 5.0)
        patch.setattr("agentd.models.library.hub.get_token", lambda: "hf_token")
        async with Hub({NAME: model}) as hub, asyncio.timeout(60):
            yield House(hub, state_dir)
