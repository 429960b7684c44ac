"""Halves of characters: JSON can carry them, UTF-8 cannot, so text from outside is repaired as it comes in.

A character beyond U+FFFF is two halves in UTF-16, and a server may cut a text between the two.
"""

from __future__ import annotations

HELD = "\ud800", "\udbff"
"""The first and the last of the halves that begin a character."""


def whole(text: str) -> str:
    """`text` with its halves joined to characters; a half without its other half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Joiner:
    """Repairs a text that comes in pieces; a half at the end of a piece waits for the next one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        self._held = text[-1:] if HELD[0] <= text[-1:] <= HELD[1] else ""
        return whole(text[: len(text) - len(self._held)])

    def finish(self) -> str:
        """The rest: U+FFFD for a half whose other half never came."""
        rest, self._held = self._held, ""
        return whole(rest)
