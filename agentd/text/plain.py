"""The one cleaning of text before it is stored or shown: nothing in it can steer a terminal or pass for another text.

`plain` and what is made of it take away control and escape sequences (ECMA-48, in 7 and in 8 bits) and the controls of
the direction of writing (Unicode, Bidi_Control), and repair halves of characters. A sequence without its end hides at
most the rest of its line.
"""

from __future__ import annotations

import re
from typing import Any

from agentd.text.characters import whole

NAME = 300
"""Characters that are shown of a name, a title or a heading."""
ENDLESS = 10_000
"""Characters that are shown of an error."""

_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
"""Begins what a terminal keeps to itself: titles, links, the clipboard, commands for devices."""
_BODY = r"[^\n\x07\x18\x1a\x1b\x80-\x9f]*"
_CONTROL = re.compile(
    rf"{_STRING}{_BODY}(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # control sequences
    r"|\x1b[ -/]*[0-~]?"  # other escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters but line feed and tab
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # the direction of writing
)
_UNFINISHED = re.compile(
    rf"(?:({_STRING}){_BODY}(\x1b?)|(\x1b\[|\x9b)[0-?]*([ -/]?)[ -/]*|(\x1b[ -/]?)[ -/]*|([\ud800-\udbff]))\Z"
)


_ALLOWED = ("\n", "\t", "\xa0")
"""Not printable by Python's definition, but harmless."""


def plain(text: str) -> str:
    """`text` without control and escape sequences, line feeds and tabs excepted; what is left always encodes."""
    return text if _is_printable(text) else _CONTROL.sub("", whole(text))


def _is_printable(text: str) -> bool:
    """Nearly every text is, which is found out much sooner than what of another one is harmful."""
    for character in _ALLOWED:
        text = text.replace(character, "")
    return text.isprintable()


def plain_line(text: str, most: int = NAME) -> str:
    """The same on one line, with at most this many characters; if it is cut, the last one is an ellipsis."""
    line = " ".join(plain(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plain_error(text: str) -> str:
    """What went wrong, in the words of whoever tells it, cut if they never end."""
    return shortened(plain(text), ENDLESS)


def shortened(text: str, characters: int) -> str:
    """At most this many characters of the text, followed by how many it has."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}\n[cut: the first {characters} of {len(text)} characters]"


def plain_data(value: Any) -> Any:
    """What JSON can say, with all its texts plain, keys too."""
    match value:
        case str():
            return plain(value)
        case dict():
            return {plain_data(key): plain_data(member) for key, member in value.items()}
        case list() | tuple():
            return [plain_data(member) for member in value]
    return value


class PlainStream:
    """`plain` for a text that comes in pieces: what is cut anywhere is cleaned as if it had come whole.

    It keeps a few characters at most, however long a sequence goes on.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be said now; the beginning of a sequence or of a character is held back."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text)
        self._held = "".join(filter(None, unfinished.groups())) if unfinished else ""
        return plain(text[: unfinished.start()] if unfinished else text)

    def finish(self) -> str:
        """The rest, if no more comes: nothing of a sequence, U+FFFD for half a character."""
        rest, self._held = plain(self._held), ""
        return rest
