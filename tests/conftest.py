"""What all tests have in common: native code never runs in pytest's own process, and the longest files begin first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

pytest_plugins = ["tests.apart"]

HERE = Path(__file__).parent
LONG = ("whole", "hostile", "cli", "models", "fuzz", "prove", "bench", "channels", "workers")
"""Rooms whose files start many processes: one of these that begins last would keep a single worker busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.path))


@cache
def _turn(path: Path) -> int:
    return next((n for n, room in enumerate(LONG) if path.is_relative_to(HERE / room)), len(LONG))
