"""Import strings: `module:attribute`."""

from __future__ import annotations

import importlib
from typing import Any


def named(name: str) -> Any:
    """The object that an import string names; raises whatever the module raises when it is imported."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
