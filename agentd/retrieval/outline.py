"""The headings and the long code of a Markdown text, found line by line; pure.

A parser of all of Markdown takes a hundred times the memory of a text and, for some texts, time that grows with their
square. Only text outside of lists and quotations counts; the rules are those of https://spec.commonmark.org.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADING = 160
"""How many characters of a heading are kept."""
TITLE = 200
LOOKED_AT = 400
"""How many characters of a heading are looked at."""

_LINE = re.compile(r"([^\r\n]*)(?:\r\n?|\n|\Z)")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CONTAINER = re.compile(r" {0,3}(?:>|[-*+](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$))")
_INDENTED = re.compile(r"(?: {4}| {0,3}\t)")
_HTML = re.compile(
    r" {0,3}<(?:(?P<comment>!--)|(?P<raw>pre|script|style|textarea)(?=[\s>]|$)|/?[a-zA-Z])", re.IGNORECASE
)
_INLINE_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[`*]+|\\(?=[^\w\s])|(?<!\w)_+|_+(?!\w)")
_CLOSING_ATTRIBUTES = re.compile(r"\s*\{[^{}]*\}$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_KEY = re.compile(r"""(?:[\w][\w .-]{0,100}|"[^"\n]{1,100}"|'[^'\n]{1,100}')[ \t]*:(?:[ \t]|$)""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """A heading, from `start` to `end` of the text."""

    level: int
    name: str
    start: int
    end: int


@dataclass(slots=True)
class Structure:
    """`code` are the spans of fenced blocks."""

    headings: list[Heading] = field(default_factory=list)
    code: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    text: str
    start: int
    end: int


def front_matter(text: str) -> tuple[str, int]:
    """The title in a block of YAML at the beginning, and the position where the text after the block begins.

    Only a mapping counts as YAML: anything else between two rules is text. Its first line is never empty.
    """
    title = ""
    for n, line in enumerate(_lines(text, 0)):
        bare = line.text.rstrip()
        if n == 0:
            if bare != "---":
                return "", 0
        elif n > 1 and bare in ("---", "..."):
            return title, line.end
        elif not _is_of_mapping(line.text, first=n == 1):
            return "", 0
        elif line.text.startswith("title:"):
            title = line.text[len("title:") :].strip().strip("\"'")[:TITLE]
    return "", 0


def _is_of_mapping(line: str, *, first: bool) -> bool:
    if first:
        return _KEY.match(line) is not None or line.startswith("#")
    return not line.strip() or line[0] in " \t#-]}" or _KEY.match(line) is not None


def structure(text: str, start: int) -> Structure:
    """The headings and fenced blocks behind `start`, in order."""
    found = Structure()
    paragraph: list[_Line] = []
    within = False
    """In a list or a quotation, until an empty line."""
    lines = _lines(text, start)
    for line in lines:
        if fence := _FENCE.match(line.text):
            paragraph, within = [], False
            if "`" not in line.text[fence.end() :] or fence[1][0] == "~":
                found.code.append((line.start, _end_of_fence(lines, fence[1], len(text))))
        elif heading := _ATX.match(line.text):
            paragraph, within = [], False
            name = _CLOSING_HASHES.sub("", line.text[heading.end() :][:LOOKED_AT])
            found.headings.append(Heading(level=len(heading[1]), name=_plain(name), start=line.start, end=line.end))
        elif not line.text.strip():
            paragraph, within = [], False
        elif paragraph and (underline := _UNDERLINE.match(line.text)):
            name = " ".join(one.text for one in paragraph)[:LOOKED_AT]
            level = 1 if underline[1][0] == "=" else 2
            found.headings.append(Heading(level=level, name=_plain(name), start=paragraph[0].start, end=line.end))
            paragraph = []
        elif not paragraph and (html := _HTML.match(line.text)):
            _pass_html(lines, line, html)
        elif _CONTAINER.match(line.text):
            paragraph, within = [], True
        elif not within and (paragraph or not _INDENTED.match(line.text)):
            paragraph = [*paragraph, line][:3]  # what the name of a heading consists of
    return found


def _lines(text: str, start: int) -> Iterator[_Line]:
    for line in _LINE.finditer(text, start):
        if line.start() < len(text):
            yield _Line(text=line[1], start=line.start(), end=line.end())


def _end_of_fence(lines: Iterator[_Line], opened: str, end: int) -> int:
    for line in lines:
        bare = line.text.strip()
        if len(bare) >= len(opened) and not bare.strip(opened[0]):
            return line.end
    return end


def _pass_html(lines: Iterator[_Line], first: _Line, opened: re.Match[str]) -> None:
    """Skip a block of HTML: comments and scripts up to their end, anything else up to an empty line."""
    closes = "-->" if opened["comment"] else f"</{opened['raw'].lower()}" if opened["raw"] else ""
    if closes and closes in first.text[opened.end() :].lower():
        return
    for line in lines:
        if (closes in line.text.lower()) if closes else not line.text.strip():
            return


def _plain(name: str) -> str:
    plain = _INLINE_MARKS.sub(lambda mark: mark[1] or "", name.strip())
    return shortened(" ".join(_CLOSING_ATTRIBUTES.sub("", plain).split()), HEADING)


def shortened(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"
