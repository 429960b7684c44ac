"""Reads JSON as small models write it: single quotes, Python's words, doubled braces, a comma too many, a missing end.

The time is linear in the text, and no value is read deeper than `DEEPEST`.
"""

from __future__ import annotations

import re
from typing import Any

from agentd.text.characters import whole

DEEPEST = 64
LONGEST_NUMBER = 400
"""Nobody means a number with more digits than this."""

_BLANKS = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_STRING_PARTS = {
    '"': re.compile(r'([^"\\]*)(\\u[0-9a-fA-F]{4}|\\.|"|\\?\Z)', re.DOTALL),
    "'": re.compile(r"([^'\\]*)(\\u[0-9a-fA-F]{4}|\\.|'|\\?\Z)", re.DOTALL),
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_PIECES = re.compile(r"""["'\\{}\[\]()<`]""")
_IN_STRING = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]")}


class Unreadable(ValueError):
    """The text here cannot be meant as JSON."""


class Reader:
    """Reads values one after the other; `at` is its position. `Unreadable` if there is no value."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    def value(self, depth: int = 0) -> Any:
        """An object, a list, a string, a number or a constant; the end of the text closes what is open.

        But not a string: nobody knows what a string without its end has lost.
        """
        if depth > DEEPEST:
            raise Unreadable("nested too deep")
        match self.peek():
            case "{":
                return self._object(depth)
            case "[":
                return self._list(depth)
            case '"' | "'":
                return self.string()
            case _:
                return self._scalar()

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        match = _BLANKS.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.text[self.at : self.at + 1]

    def take(self, mark: str) -> bool:
        """Skip this character if it comes next."""
        if self.peek() != mark[:1] or not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def word(self) -> str:
        """The identifier that comes next, "" if none does."""
        self.peek()
        match = _WORD.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else ""

    def string(self) -> str:
        """A string in quotes of either kind; halves of characters are repaired."""
        part = _STRING_PARTS[self.peek()]
        quote = self.text[self.at]
        self.at += 1
        found: list[str] = []
        while (match := part.match(self.text, self.at)) is not None:
            self.at = match.end()
            found.append(match[1])
            if match[2] == quote:
                return whole("".join(found))
            if len(match[2]) < 2:
                break
            found.append(_unescaped(match[2]))
        raise Unreadable("a string without an end")

    def _object(self, depth: int) -> dict[str, Any]:
        self.take("{")
        if self.peek() == "{":  # a template that shows its own braces doubled makes its model write them so
            inner = self.value(depth + 1)
            assert isinstance(inner, dict)
            self.take("}")
            return inner
        found: dict[str, Any] = {}
        while not self._ends("}"):
            key = self.string() if self.peek() in ('"', "'") else self.word() or None
            if key is None or not self.take(":"):
                raise Unreadable("not a key with its value")
            found[key] = self.value(depth + 1)
            self._next("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        self.take("[")
        found: list[Any] = []
        while not self._ends("]"):
            found.append(self.value(depth + 1))
            self._next("]")
        return found

    def _ends(self, mark: str) -> bool:
        return self.take(mark) or not self.peek()

    def _next(self, mark: str) -> None:
        if not self.take(",") and self.peek() not in (mark, ""):
            raise Unreadable("not a comma")

    def _scalar(self) -> Any:
        if word := self.word():
            if word not in _CONSTANTS:
                raise Unreadable(f"{word[:20]} is not a value")
            return _CONSTANTS[word]
        match = _NUMBER.match(self.text, self.at)
        if match is None or len(match[0]) > LONGEST_NUMBER:
            raise Unreadable("not a value")
        self.at = match.end()
        number = float(match[0]) if re.search(r"[.eE]", match[0]) else int(match[0])
        if number in (float("inf"), float("-inf")):
            raise Unreadable("a number that is too large")
        return number


def _unescaped(escape: str) -> str:
    """The meaning of a backslash and its character; an unknown escape stays as it is."""
    kind = escape[1]
    if kind == "u" and len(escape) > 2:
        return chr(int(escape[2:], 16))
    if kind in _ESCAPES:
        return _ESCAPES[kind]
    return kind if kind in "\"'\\/" else escape


class Extent:
    """Finds the end of a value in brackets in a growing text: feed it the same text with more at the end.

    `end` is the position after the last bracket, or the position of a character that such a value cannot contain
    outside of its strings; None until either has come.
    """

    def __init__(self, at: int) -> None:
        self._at = at
        self._depth = 0
        self._quote = ""
        self.end: int | None = None

    def look(self, text: str) -> int | None:
        while self.end is None:
            match = (_IN_STRING[self._quote] if self._quote else _PIECES).search(text, self._at)
            if match is None:
                self._at = len(text)
                break
            if match[0] == "\\" and match.end() == len(text):
                self._at = match.start()
                break
            self._pass(match[0], match.start())
        return self.end

    def _pass(self, mark: str, at: int) -> None:
        self._at = at + 1 + (mark == "\\")
        if mark in ('"', "'"):
            self._quote = "" if self._quote else mark
        elif self._quote or mark == "\\":
            return
        elif mark in "{[(":
            self._depth += 1
        elif mark in "}])":
            self._depth -= 1
            self.end = self._at if self._depth == 0 else None
        else:
            self.end = at
