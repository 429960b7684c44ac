"""Reads a server's values generously; what cannot be read counts as left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from agentd.text.characters import whole

MOST_TOKENS = 100_000_000
"""A larger figure is a mistake of the server."""
MOST_SECONDS = 1_000_000.0
LONGEST_NUMBER = 18
"""Digits of a number in JSON; the time to read a number grows with the square of its length."""

_TEXTS = ("text", "output_text")
"""Types of the parts that are text."""


def read_json(text: str | bytes) -> Any:
    """The value in a JSON text, however deep it is and however long its numbers are; `ValueError` if it is not JSON."""
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list that are not empty; a single object counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict) and item]


def text(value: object) -> str:
    """A text, or the texts of a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text(part) for part in value if not isinstance(part, list))
    if isinstance(value, dict) and value.get("type") in (None, *_TEXTS):
        return next((said for key in ("text", "content") if isinstance(said := value.get(key), str)), "")
    return ""


def thoughts(value: object) -> str:
    """The reasoning among the parts of a content."""
    return "".join(text(part.get(key)) for part in mappings(value) for key in ("thinking", "reasoning"))


def arguments(value: object) -> str:
    """The JSON text of a tool's arguments, which some servers send as the object that it stands for."""
    if isinstance(value, dict | list):
        try:
            return json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return ""
    return value if isinstance(value, str) else ""


def name(value: object, longest: int) -> str:
    """An id or a name: valid characters on one line, at most `longest` of them."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return "".join(c if c.isprintable() else "\ufffd" for c in whole(value[:longest])) if isinstance(value, str) else ""


def number(value: object) -> int | None:
    """An index, which some servers send as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= LONGEST_NUMBER:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def tokens(value: object) -> int:
    """0 if the value is not a number of tokens."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= MOST_TOKENS else 0


def seconds(milliseconds: object) -> float:
    """0 if the value is not a time."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return 0.0
    found = milliseconds / 1000
    return found if math.isfinite(found) and 0 <= found <= MOST_SECONDS else 0.0


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_NUMBER else math.inf
