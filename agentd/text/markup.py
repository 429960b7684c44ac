"""Markdown as plain sentences: what a reader would say aloud of each block of a text.

Markdown's own rules take time that grows with the square of what they are given. So a long text is read in pieces, and
what no person writes is taken as it stands: a paragraph full of marks, a table of very many columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

WINDOW = 16_384
"""Characters that are read at once."""
BUSIEST = 400
"""Marks that one paragraph may have to be read as Markdown."""
WIDEST = 64
"""Bars that a line may have to be a row of a table."""
_MARKS = re.compile(r"[\[\]*_`<!&\\]")
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """`text` is one line without bullets, pipes, links and emphasis; of code it is the whole block in its fence."""

    kind: Literal["prose", "item", "row", "heading", "code"]
    text: str


@cache
def _parser(*, tables: bool = True) -> MarkdownIt:
    # Indented text is prose here: plain text files indent, and a piece of a list lacks its first line.
    parser = MarkdownIt("commonmark", {"html": False}).disable(["code", "html_block", "reference"])
    parser.core.ruler.at("inline", _read_paragraphs)
    return parser.enable("table") if tables else parser


def _read_paragraphs(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        if len(token.content) > BUSIEST and len(_MARKS.findall(token.content)) > BUSIEST:
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def blocks(text: str) -> list[Block]:
    """The blocks of a text in reading order, even if it begins or ends in the middle of one.

    Takes time that grows with the length of the text, whatever it is.
    """
    return [block for piece in _pieces(text) for block in _blocks(_parse(piece)) if block.text]


def _parse(text: str) -> Sequence[Token]:
    return _parser(tables=_may_have_tables(text)).parse(text)


def _may_have_tables(text: str) -> bool:
    """Whether a table in it could not be much larger than the text: short rows are filled up to the longest."""
    lines = text.split("\n")
    widest = max(line.count("|") for line in lines)
    return widest <= WIDEST and widest * len(lines) <= 1000 + len(text)


def _pieces(text: str) -> Iterator[str]:
    """A long text cut at empty lines, and not within a fence if there is another place."""
    start = 0
    while len(text) - start > WINDOW:
        stop = start + _cut(text[start : start + WINDOW])
        yield text[start:stop]
        start = stop
    yield text[start:]


def _cut(window: str) -> int:
    fences = [fence.start() for fence in _FENCE.finditer(window)]
    # Before the last fence where their number is odd: it opens what ends elsewhere.
    within = window[: fences[-1]] if len(fences) % 2 else window
    for text, mark in ((within, "\n\n"), (window, "\n\n"), (window, "\n"), (window, " ")):
        if (cut := text.rfind(mark, 1)) > 0:
            return cut + len(mark)
    return len(window)


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    items = 0
    heading = head = cell = False
    cells: list[str] = []
    for token in tokens:
        match token.type:
            case "heading_open" | "heading_close":
                heading = token.nesting == 1
            case "list_item_open" | "list_item_close":
                items += token.nesting
            case "thead_open" | "thead_close":
                head = token.nesting == 1
            case "tr_close":
                yield Block(kind="heading" if head else "row", text=_row(cells))
                cells = []
            case "th_open" | "td_open" | "th_close" | "td_close":
                cell = token.nesting == 1
            case "fence":
                yield Block(kind="code", text=f"```{token.info}\n{token.content.rstrip()}\n```")
            case "inline" if cell:
                cells.append(_plain(token))
            case "inline":
                yield from _paragraph(token, "heading" if heading else "item" if items else "prose")


def _paragraph(token: Token, kind: Literal["prose", "item", "heading"]) -> Iterator[Block]:
    lines = token.content.split("\n")
    if any(not line.lstrip().startswith("|") for line in lines):
        yield Block(kind=kind, text=_plain(token))
        return
    # Rows of a table whose head is in an earlier piece.
    for line in lines:
        cells = [_plain(_parser().parseInline(cell.strip())[0]) for cell in line.strip().strip("|").split("|")]
        yield Block(kind="row", text="" if set("".join(cells)) <= set(":- ") else _row(cells))


def _row(cells: Sequence[str]) -> str:
    first, *rest = [cell for cell in cells if cell] or [""]
    return f"{first}: {', '.join(rest)}" if rest else first


def _plain(inline: Token) -> str:
    return " ".join("".join(_spoken(inline.children or ())).split())


def _spoken(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        match token.type:
            case "text":
                yield token.content
            case "code_inline":
                yield f"`{token.content}`"
            case "softbreak" | "hardbreak":
                yield " "
            case "image":
                yield token.content
