"""What is longer than a client reads: a piece of an answer is split, everything else is cut, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from agentd.protocol import Chunk, ServerMessage, encode, longest

PIECE = 64 * 1024
"""Characters of a piece of an answer that are sent at once."""
STEPS = (
    (1024 * 1024, 10_000),
    (256 * 1024, 10_000),
    (64 * 1024, 10_000),
    (16 * 1024, 5_000),
    (4 * 1024, 2_000),
    (1024, 1_000),
    (256, 200),
    (64, 20),
    (16, 4),
)
"""Characters of each text, and items of each list, that are left of a message that is too long, until it fits."""
NEWEST_LAST = frozenset({"history", "messages"})
"""Lists of which the end is kept."""


def fitting(message: ServerMessage) -> bytes:
    """The message as a line that is not longer than a client reads."""
    frame, most = encode(message), longest(message)
    if len(frame) <= most:
        return frame
    whole = message.model_dump(mode="json")
    for text, items in STEPS:
        frame = to_json(_cut(whole, text, items)) + b"\n"
        if len(frame) <= most:
            break
    return frame


def _cut(value: Any, text: int, items: int) -> Any:
    match value:
        case str() if len(value) > text:
            return f"{value[:text]}… (cut here: it has {len(value):,} characters, more than fits into one message)"
        case list():
            return [_cut(item, text, items) for item in value[:items]]
        case dict():
            kept = list(value.items())[:items]
            return {key[:text]: _cut(_kept(key, item, items), text, items) for key, item in kept}
        case _:
            return value


def _kept(key: str, value: Any, items: int) -> Any:
    return value[-items:] if key in NEWEST_LAST and isinstance(value, list) else value


def pieces(chunk: Chunk) -> Iterator[Chunk]:
    """A chunk, or several with the same text."""
    for start in range(0, max(len(chunk.text), 1), PIECE):
        yield chunk.model_copy(update={"n": chunk.n + start, "text": chunk.text[start : start + PIECE]})
