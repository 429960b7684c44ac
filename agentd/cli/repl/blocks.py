"""Splits growing Markdown into finished blocks, which can no longer change, and the open rest.

A block is a top-level block of CommonMark (https://spec.commonmark.org/0.31.2/#blocks-and-inlines) with the blank lines
after it. Each item of a top-level list is a block of its own, so that long lists appear as they grow.
"""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt

SMALL = 4096
"""Up to this length the open rest is parsed at every new line; a longer one each time it has grown by `GROWTH`."""
GROWTH = 1.05


@cache
def _parser() -> MarkdownIt:
    # Definitions of references are shown as they are: an answer may contain "[1]: ...", which must not vanish.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return parser.disable(["inline", "reference", "html_block"])


_CLOSED_BY_A_BLANK_LINE = ("paragraph_open", "heading_open", "table_open", "hr")


class Blocks:
    """Splits a text that comes in pieces; however it is cut, the blocks differ only in the blank lines around them."""

    def __init__(self) -> None:
        self.open = ""
        self._parse_at = 0

    def feed(self, text: str) -> list[str]:
        """The blocks that this piece finishes."""
        self.open += text
        if "\n" not in text or len(self.open) < self._parse_at:
            return []
        blocks, closed = _split(self.open[: self.open.rindex("\n") + 1])
        if not closed:
            blocks = blocks[:-1]
        self.open = self.open[sum(map(len, blocks)) :]
        self._parse_at = 0 if len(self.open) < SMALL else int(len(self.open) * GROWTH)
        return blocks

    def finish(self) -> list[str]:
        """The blocks of the rest, because the text ends here."""
        rest, self.open, self._parse_at = self.open, "", 0
        return _split(rest)[0] if rest.strip() else []


def _split(text: str) -> tuple[list[str], bool]:
    """The text cut into blocks, and whether the last one can no longer grow."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # not splitlines, which knows more line ends than Markdown
    begins = _begins(text)
    if not begins:
        return ([text] if text else []), False
    starts = [0, *sorted(begins)[1:]]  # blank lines at the beginning belong to the first block
    blocks = ["".join(lines[a:b]) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return blocks, not lines[-1].strip() and begins[max(begins)] in _CLOSED_BY_A_BLANK_LINE


def _begins(text: str) -> dict[int, str]:
    """The lines on which a top-level block or an item of a top-level list begins, with the kind of block."""
    begins: dict[int, str] = {}
    for token in _parser().parse(text):
        top = token.level == 0 or (token.level == 1 and token.type == "list_item_open")
        if top and token.nesting >= 0 and token.map:
            begins[token.map[0]] = token.type
    return begins
