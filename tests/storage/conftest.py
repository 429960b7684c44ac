"""One database, and the sessions in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from tests.storage.kept import Kept


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(store: Store, clock: FakeClock) -> Kept:
    return Kept(store, clock)
