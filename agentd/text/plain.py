"""Cleans every text before it is stored or shown, so that it cannot steer a terminal or pass for another text.

`plain` and the functions based on it remove control and escape sequences (ECMA-48, in 7 and 8 bits) and the controls
for the direction of writing (Unicode, Bidi_Control), and repair halves of characters. A sequence without an end hides
at most the rest of its line.
"""

from __future__ import annotations

import re
from typing import Any

from agentd.text.characters import whole

NAME = 300
"""How many characters of a name, a title or a heading are shown."""
ENDLESS = 10_000
"""How many characters of an error are shown."""

_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
"""The beginning of a sequence that a terminal does not print: titles, links, the clipboard, commands for devices."""
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
"""Characters that Python calls not printable, but that are harmless."""


def plain(text: str) -> str:
    """`text` without control and escape sequences, except line feeds and tabs; the result can always be encoded."""
    return text if _is_printable(text) else _CONTROL.sub("", whole(text))


def _is_printable(text: str) -> bool:
    """Whether all of a text is printable: nearly every text is, and this check is much faster than the cleaning."""
    for character in _ALLOWED:
        text = text.replace(character, "")
    return text.isprintable()


def plain_line(text: str, most: int = NAME) -> str:
    """The text on one line of at most this many characters; if it is cut, the last one is an ellipsis."""
    line = " ".join(plain(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plain_error(text: str) -> str:
    """An error message of somebody else, cut if it is too long."""
    return shortened(plain(text), ENDLESS)


def shortened(text: str, characters: int) -> str:
    """At most this many characters of the text; if it is longer, followed by its length."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}\n[cut: the first {characters} of {len(text)} characters]"


def plain_data(value: Any) -> Any:
    """A JSON value with all its texts plain, keys included."""
    match value:
        case str():
            return plain(value)
        case dict():
            return {plain_data(key): plain_data(member) for key, member in value.items()}
        case list() | tuple():
            return [plain_data(member) for member in value]
    return value


class PlainStream:
    """`plain` for a text that comes in pieces: wherever it is cut, it is cleaned as if it were whole.

    It keeps only a few characters, no matter how long a sequence is.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that is certain now; the beginning of a sequence or character is held back."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text)
        self._held = "".join(filter(None, unfinished.groups())) if unfinished else ""
        return plain(text[: unfinished.start()] if unfinished else text)

    def finish(self) -> str:
        """The rest, if no more comes: nothing for a sequence, U+FFFD for half a character."""
        rest, self._held = plain(self._held), ""
        return rest
