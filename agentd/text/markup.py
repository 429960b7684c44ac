"""Markdown as plain sentences: each block of a text as a person would read it aloud.

A parser of Markdown takes time that grows with the square of its input. So a long text is read in pieces, and what no
person writes stays as it is: a paragraph full of markup, a table of very many columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from agentd.text.language import is_ended

MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mkd"})
"""The suffixes of files in Markdown."""
WINDOW = 16_384
"""How many characters are parsed at once."""
BUSIEST = 400
"""A paragraph with more markup characters than this is not read as Markdown."""
WIDEST = 64
"""A line with more bars than this is not read as a row of a table."""
_MARKS = re.compile(r"[\[\]*_`<!&\\]")
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A block whose `text` is one line without bullets, pipes, links and emphasis; for code, the whole block in its
    fence.

    A row has its cells, too, and those of the head of its table, which is no block of its own.
    """

    kind: Literal["prose", "item", "row", "heading", "code"]
    text: str
    cells: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


def is_markdown(name: str) -> bool:
    """Whether a file is in Markdown, by its name."""
    return os.path.splitext(name.lower())[1] in MARKDOWN


@cache
def _parser(*, tables: bool = True, indented: bool = False) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).disable(["code", "html_block", "reference"])
    parser.core.ruler.at("inline", _read_paragraphs)
    return parser.enable([*(["table"] if tables else []), *(["code"] if indented else [])])


def _read_paragraphs(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        if len(token.content) > BUSIEST and len(_MARKS.findall(token.content)) > BUSIEST:
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def blocks(text: str, *, markdown: bool = False, head: str = "") -> list[Block]:
    """The blocks of a text in reading order, even if it begins or ends in the middle of one.

    What is indented is code if the text is of a file in Markdown; others indent their paragraphs. `head` is that of the
    table in which the text begins. Takes time that grows with the length of the text, whatever it is.
    """
    return [block for piece in _pieces(with_head(text, head)) for block in _read(piece, markdown) if block.text]


def with_head(text: str, head: str) -> str:
    """A text that begins within a table, with the head of that above it."""
    return f"{head}\n|{' - |' * max(1, len(_cells(head)))}\n{text}" if head else text


def table_head(text: str, at: int) -> str:
    """The line that is the head of the table in which a text goes on from there; "" if it goes on otherwise."""
    if not text.startswith("|", at):
        return ""
    lines = text[max(0, at - WINDOW) : at].split("\n")[:-1]
    rows = len(lines)
    while rows and lines[rows - 1].lstrip().startswith("|"):
        rows -= 1
    table = lines[rows:]
    return table[0].strip() if len(table) > 1 and delimits(table[1]) else ""


def told(cells: Sequence[str], head: Sequence[str]) -> str:
    """A row with what its columns are called, as far as nobody understands it without."""
    first, *others = cells
    names = [*head, *[""] * len(cells)]
    if names[0] and not any(map(str.isalpha, first)):
        first = f"{names[0]} {first}".rstrip()
    if len([cell for cell in others if cell]) < 2:
        return ": ".join(cell for cell in (first, *others) if cell)
    said = (f"{name}: {cell}" if name else cell for name, cell in zip(names[1:], others, strict=False) if cell)
    return " \u2014 ".join(part for part in (first, "; ".join(said)) if part)


def tables_told(text: str, head: str = "") -> str:
    """A text with the rows of its tables as they are told, and all else as it stands; `head` is that of the first."""
    lines = with_head(text, head).split("\n")
    names: list[str] | None = None
    kept: list[str] = []
    for line, behind in zip(lines, [*lines[1:], ""], strict=True):
        row = line.lstrip().startswith("|")
        if row and names is None and delimits(behind):
            names = _cells(line)
        elif row and names is not None:
            kept += [] if delimits(line) else [told(_cells(line), names)]
        else:
            names = None
            kept.append(line)
    return "\n".join(kept)


def delimits(line: str) -> bool:
    """Whether a line stands between the head and the rows of a table."""
    return "-" in line and not set(line) - set(" \t|:-")


def _cells(line: str) -> list[str]:
    """Those of a row, as they are written."""
    bare = line.strip().removeprefix("|")
    bare = bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare
    return [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(bare)]


def _read(piece: str, markdown: bool) -> Iterator[Block]:
    parser = _parser(tables=_may_have_tables(piece), indented=markdown)
    return _blocks(parser.parse(piece))


def _may_have_tables(text: str) -> bool:
    """Whether tables in it stay about as large as the text: short rows are filled up to the longest."""
    lines = text.split("\n")
    widest = max(line.count("|") for line in lines)
    return widest <= WIDEST and widest * len(lines) <= 1000 + len(text)


def _pieces(text: str) -> Iterator[str]:
    """A long text, cut at empty lines and, if possible, not within a fence."""
    start = 0
    while len(text) - start > WINDOW:
        stop = start + _cut(text[start : start + WINDOW])
        yield text[start:stop]
        start = stop
    yield text[start:]


def _cut(window: str) -> int:
    fences = [fence.start() for fence in _FENCE.finditer(window)]
    # Cut before the last fence if their number is odd: it opens a block that ends in another piece.
    within = window[: fences[-1]] if len(fences) % 2 else window
    for text, mark in ((within, "\n\n"), (window, "\n\n"), (window, "\n"), (window, " ")):
        if (cut := text.rfind(mark, 1)) > 0:
            return cut + len(mark)
    return len(window)


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    items = 0
    heading = in_head = cell = False
    head: tuple[str, ...] = ()
    cells: list[str] = []
    for n, token in enumerate(tokens):
        match token.type:
            case "heading_open" | "heading_close":
                heading = token.nesting == 1
            case "list_item_open" | "list_item_close":
                items += token.nesting
            case "thead_open" | "thead_close":
                in_head = token.nesting == 1
            case "tr_close":
                if in_head:
                    head = tuple(cells)
                else:
                    yield _row(cells, head)
                cells = []
            case "th_open" | "td_open" | "th_close" | "td_close":
                cell = token.nesting == 1
            case "fence":
                yield Block(kind="code", text=f"```{token.info}\n{token.content.rstrip()}\n```")
            case "code_block" if n == 0 and _goes_on(token.content):
                yield Block(kind="item", text=" ".join(token.content.split()))
            case "code_block":
                yield Block(kind="code", text=f"```\n{token.content.rstrip()}\n```")
            case "inline" if cell:
                cells.append(_plain(token))
            case "inline":
                yield from _paragraph(token, "heading" if heading else "item" if items else "prose")


def _goes_on(text: str) -> bool:
    """Whether what looks like code at the beginning of a text is a list whose first line is missing."""
    return text[:1].isalpha() and is_ended(text.rstrip())


def _paragraph(token: Token, kind: Literal["prose", "item", "heading"]) -> Iterator[Block]:
    lines = token.content.split("\n")
    if any(not line.lstrip().startswith("|") for line in lines):
        yield Block(kind=kind, text=_plain(token))
        return
    # Rows of a table that has its head in an earlier piece.
    for line in lines:
        if not delimits(line):
            yield _row([_plain(_parser().parseInline(cell)[0]) for cell in _cells(line)], ())


def _row(cells: Sequence[str], head: tuple[str, ...]) -> Block:
    first, *rest = [cell for cell in cells if cell] or [""]
    return Block(kind="row", text=f"{first}: {', '.join(rest)}" if rest else first, cells=tuple(cells), head=head)


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
