"""How a text of JSON is made, found out without reading it as JSON: short texts can need very much memory when read."""

from __future__ import annotations

import re
from typing import Any

_STRING = re.compile(rb'"[^"]*"')


def outside_of_strings(text: bytes) -> int:
    """Bytes outside of strings."""
    return len(_STRING.sub(b"", without_escapes(text)))


def without_escapes(text: bytes) -> bytes:
    """Every quotation mark that is left begins or ends a string."""
    return text.replace(rb"\\", b"").replace(rb"\"", b"")


def nesting(value: Any) -> int:
    """How deep a JSON value is nested; 0 if it is no list and no object."""
    deepest, left = 0, [(value, 1)]
    while left:
        inner, depth = left.pop()
        members = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list | tuple) else None
        if members is not None:
            deepest = max(deepest, depth)
            left.extend((member, depth + 1) for member in members)
    return deepest
