"""Markdown as plain sentences: what a reader would say aloud of each block of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """`text` is one line without bullets, pipes, links and emphasis; of code it is the whole block in its fence."""

    kind: Literal["prose", "item", "row", "heading", "code"]
    text: str


@cache
def _parser() -> MarkdownIt:
    # Indented text is prose here: plain text files indent, and a piece of a list lacks its first line.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["code", "html_block", "reference"])


def blocks(text: str) -> list[Block]:
    """The blocks of a text in reading order, also where it begins or ends in the middle of one."""
    return [block for block in _blocks(_parser().parse(text)) if block.text]


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
