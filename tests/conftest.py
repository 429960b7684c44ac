"""What all tests have in common: native code never runs in pytest's own process."""

from __future__ import annotations

pytest_plugins = ["tests.apart"]
