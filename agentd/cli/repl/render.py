"""Renders blocks of Markdown, questions, sources and the program's own messages as coloured text for a terminal.

Every function takes the width in columns and returns lines that end with a line feed. Its input must be free of escape
sequences (`agentd.text.plain`); it adds only colours of the terminal's own palette, and no links.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.segment import Segment, SegmentLines
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from agentd.cli.output import source_lines
from agentd.records import Citation

log = logging.getLogger(__name__)

_THEME = Theme(
    {
        "markdown.cite": "bold cyan",
        "markdown.code": "cyan",
        "markdown.code_block": "none",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold italic",
        "markdown.table.header": "bold",
        "markdown.table.border": "dim",
        "markdown.block_quote": "italic",
        "markdown.item.bullet": "cyan",
        "markdown.item.number": "cyan",
        "markdown.link": "underline",
        "markdown.link_url": "dim",
        "markdown.hr": "dim",
    }
)
_CITE = re.compile(r"(\[\d{1,3}\])")
_INDENT = "  "
LONGEST = 16 * 1024
"""Characters of a block that is rendered, which takes some 30 us for each: a large table would hold up the prompt. A
longer one is left to the terminal, which folds its lines.
"""


def block(markdown: str, width: int) -> str:
    """One block of Markdown, with a blank line after it if the source has one; a very long one as it was written."""
    gap = "\n" if re.search(r"\n[ \t]*\n[ \t\n]*\Z", markdown) else ""
    if len(markdown) > LONGEST:
        return markdown.strip("\n") + "\n" + gap
    try:
        return _ansi(_Markdown(markdown), width) + gap
    except Exception:
        # If the renderer fails, the block is shown as it was written, so that no answer is lost.
        log.exception("cannot render a block of Markdown: %r", markdown)
        return _ansi(Text(markdown.strip("\n")), width) + gap


def asked(text: str, width: int) -> str:
    """A question, to stand above its answer."""
    lines = text.split("\n")
    marked = [("> ", lines[0]), *(("… ", line) for line in lines[1:])]
    return _ansi(Text("\n").join(Text.assemble((mark, "bold cyan"), (line, "bold")) for mark, line in marked), width)


def sources(citations: Iterable[Citation], width: int) -> str:
    """The sources of an answer, one on each line."""
    lines = source_lines(citations)
    return _ansi(Text("\n".join(lines), style="dim"), width) if lines else ""


def note(text: str, width: int) -> str:
    return _ansi(Text(text, style="dim"), width)


def error(text: str, width: int) -> str:
    return _ansi(Text(text.strip(), style="red"), width)


def tail(markdown: str, width: int, height: int) -> str:
    """The last `height` lines of a block that is still growing, without a line feed at the end."""
    if len(markdown) > 2 * width * height + 4096:
        text = _ansi(Text(markdown[-2 * width * height :]), width)
    else:
        text = block(markdown, width)
    return "\n".join(text.strip("\n").split("\n")[-height:])


# --- the elements that rich lets us choose -----------------------------------------------------------------------


class _Table(TableElement):
    """Every cell is shown whole, however narrow the terminal is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, style="markdown.table.border")
        for cell in self.header.row.cells if self.header and self.header.row else ():
            heading = cell.content.copy()
            heading.stylize("markdown.table.header")
            table.add_column(heading, overflow="fold", justify=cell.justify)
        for row in self.body.rows if self.body else ():
            table.add_row(*(cell.content for cell in row.cells))
        yield table


class _Code(CodeBlock):
    """Code, highlighted and indented, without a background, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip().expandtabs(4)
        highlighted = Syntax("", self.lexer_name, theme="ansi_dark").highlight(code)
        highlighted.rstrip()
        for line in highlighted.split("\n", allow_blank=True):
            for piece in _folded(line, max(1, options.max_width - len(_INDENT))):
                yield Text(_INDENT).append_text(piece)


class _Heading(Heading):
    LEVEL_ALIGN = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "left")


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "table_open": _Table,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
    }
    inlines = Markdown.inlines | {"cite"}

    def __init__(self, markup: str) -> None:
        super().__init__("", hyperlinks=False)
        self.markup = markup
        self.parsed = _parser().parse(markup)

    def _flatten_tokens(self, tokens: Iterable[Token]) -> Iterator[Token]:
        for token in super()._flatten_tokens(tokens):
            yield from _marked(token) if token.type == "text" else (token,)


def _marked(token: Token) -> Iterator[Token]:
    """Text with its citation marks as tokens of their own."""
    for piece in _CITE.split(token.content):
        if _CITE.fullmatch(piece):
            yield Token("cite", "cite", 0, content=piece)
        elif piece:
            yield Token("text", "", 0, content=piece)


@cache
def _parser() -> MarkdownIt:
    # Without images, HTML and definitions of references, which the renderer would not show at all.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return parser.disable(["image", "reference", "html_block", "html_inline"])


def _folded(line: Text, width: int) -> list[Text]:
    """The line in pieces of at most `width` columns, cut anywhere, because in code every blank counts."""
    pieces = []
    while line.cell_len > width:
        cut = _columns(line.plain, width)
        first, line = line.divide([cut])
        pieces.append(first)
    return [*pieces, line]


def _columns(text: str, width: int) -> int:
    """How many characters fit into `width` columns, at least one."""
    used = 0
    for count, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return max(1, count)
    return max(1, len(text))


def _ansi(renderable: ConsoleRenderable, width: int) -> str:
    console = Console(
        file=StringIO(),
        force_terminal=True,
        width=width,
        theme=_THEME,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    lines = console.render_lines(renderable, console.options, pad=False, new_lines=False)
    console.print(SegmentLines(_trimmed(lines), new_lines=True), end="")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def _trimmed(lines: list[list[Segment]]) -> list[list[Segment]]:
    """Without blank lines at both ends and blanks at the ends of lines."""
    trimmed = [list(Segment.simplify(_without_blanks(line))) for line in lines]
    shown = [n for n, line in enumerate(trimmed) if line]
    return trimmed[shown[0] : shown[-1] + 1] if shown else []


def _without_blanks(line: list[Segment]) -> list[Segment]:
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        text, style, _ = kept.pop()
        kept.append(Segment(text.rstrip(), style or Style()))
    return kept
