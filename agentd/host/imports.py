"""Import strings: `module:attribute`."""

from __future__ import annotations

import importlib
from typing import Any


def named(name: str) -> Any:
    """What an import string names; whatever the module raises when it is imported passes."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
