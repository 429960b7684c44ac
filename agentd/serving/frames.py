"""What is longer than a client reads: a piece of an answer is split, everything else is cut, and says so."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from pydantic_core import to_json

from agentd.serving.protocol import Chunk, ServerMessage, encode, is_mostly_structure, longest

PIECE = 64 * 1024
"""Characters of a piece of an answer that are sent at once."""
LONGEST, SHORTEST = 4 * 1024 * 1024, 16
"""Characters that are left of a text in a message that is too long, at most and at least."""
ITEMS, FIELDS = 10_000, 32
"""Items that are left of a list at most, and of a record at least."""
NEWEST_LAST = frozenset({"history", "messages"})
"""Lists that are cut at their beginning, so that the end is kept."""


def fitting(message: ServerMessage) -> bytes:
    """The message as a line that is not longer than a client reads: the longest texts are cut first, then lists."""
    frame, most = encode(message), longest(message)
    if _fits(frame, most):
        return frame
    whole = message.model_dump(mode="json")
    lengths = sorted(_lengths(whole))
    room, items = 0.8 * sum(lengths) * most / len(frame), ITEMS
    while not _fits(frame, most) and items:
        text = _limit(lengths, room)
        frame = to_json(_cut(whole, text, items)) + b"\n"
        room /= 2
        if text == SHORTEST or len(frame) <= most:
            items //= 2
    return frame


def _fits(frame: bytes, most: int) -> bool:
    return len(frame) <= most and not is_mostly_structure(frame)


def _lengths(value: Any) -> Iterator[int]:
    """Of all texts, at whatever depth."""
    match value:
        case str():
            yield len(value)
        case list():
            for item in value:
                yield from _lengths(item)
        case dict():
            for key, item in value.items():
                yield len(key)
                yield from _lengths(item)


def _limit(lengths: list[int], room: float) -> int:
    """To what texts of these lengths, the shortest first, are cut so that all of them together have this room."""
    sums, limit = [0, *accumulate(lengths)], LONGEST
    while limit > SHORTEST:
        shorter = bisect_left(lengths, limit)
        if sums[shorter] + limit * (len(lengths) - shorter) <= room:
            break
        limit //= 2
    return limit


def _cut(value: Any, text: int, items: int) -> Any:
    match value:
        case str() if len(value) > text:
            return f"{value[:text]}… (cut here: it has {len(value):,} characters, more than fits into one message)"
        case list():
            return [_cut(item, text, items) for item in value[:items]]
        case dict():
            kept = list(value.items())[: max(items, FIELDS)]
            return {key[:text]: _cut(_kept(key, item, items), text, items) for key, item in kept}
        case _:
            return value


def _kept(key: str, value: Any, items: int) -> Any:
    return value[-items:] if key in NEWEST_LAST and isinstance(value, list) else value


def pieces(chunk: Chunk) -> Iterator[Chunk]:
    """A chunk, or several with the same text."""
    for start in range(0, max(len(chunk.text), 1), PIECE):
        yield chunk.model_copy(update={"n": chunk.n + start, "text": chunk.text[start : start + PIECE]})
