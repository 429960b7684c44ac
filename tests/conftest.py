"""What all tests have in common: native code never runs in pytest's own process, and the longest files begin first."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from tests.daemons import WEBSOCKET

pytest_plugins = ["tests.apart"]

# Of every daemon that a test starts: two cannot share the gateway's port. Tests of the gateway set a port of their own.
os.environ[WEBSOCKET] = "false"

HERE = Path(__file__).parent
LONG = ("whole", "hostile", "cli", "models", "fuzz", "prove", "bench", "channels", "workers")
"""Rooms whose files start many processes: one of these that begins last would keep a single worker busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.path))


@cache
def _turn(path: Path) -> int:
    return next((n for n, room in enumerate(LONG) if path.is_relative_to(HERE / room)), len(LONG))
