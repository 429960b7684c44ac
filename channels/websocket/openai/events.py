"""Server-sent events: what is written to a connection (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def event(data: Any, name: str = "") -> bytes:
    """One event with JSON for its data."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + to_json(data, exclude_none=False) + b"\n\n"


def comment(text: str) -> bytes:
    """What keeps a connection alive and is no event; clients pass over it."""
    return f": {text}\n\n".encode()
