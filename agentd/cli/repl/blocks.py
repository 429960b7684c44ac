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
WINDOW = 64 * 1024
"""Characters that are parsed at once, which takes up to 6 us for each. A block that is longer has no end for us."""


@cache
def _parser() -> MarkdownIt:
    # Definitions of references are shown as they are: an answer may contain "[1]: ...", which must not vanish.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return parser.disable(["inline", "reference", "html_block"])


_CLOSED_BY_A_BLANK_LINE = ("paragraph_open", "heading_open", "table_open", "hr")


class Blocks:
    """Splits a text that comes in pieces; however it is cut, the blocks differ only in the blank lines around them.

    A block of more than `WINDOW` characters is one with all that follows it.
    """

    def __init__(self) -> None:
        self.open = ""
        self._parse_at = 0
        self._endless = False

    def feed(self, text: str) -> list[str]:
        """The blocks that this piece finishes."""
        self.open += text
        if "\n" not in text or len(self.open) < self._parse_at:
            return []
        blocks = self._long()
        if not self._endless:
            more, closed = _split(self.open[: self.open.rindex("\n") + 1])
            blocks += self._closed(more if closed else more[:-1])
        self._parse_at = 0 if len(self.open) < SMALL else int(len(self.open) * GROWTH)
        return blocks

    def finish(self) -> list[str]:
        """The blocks of the rest, because the text ends here."""
        blocks = self._long()
        rest, endless, self.open, self._parse_at, self._endless = self.open, self._endless, "", 0, False
        if not rest.strip():
            return blocks
        return [*blocks, rest] if endless else [*blocks, *_split(rest)[0]]

    def _long(self) -> list[str]:
        """Finished blocks, until what is open fits into a window or its first block does not."""
        blocks: list[str] = []
        while len(self.open) > WINDOW and not self._endless:
            found = _split(self.open[: self.open.rfind("\n", 0, WINDOW) + 1])[0][:-1]
            self._endless = not found
            blocks += self._closed(found)
        return blocks

    def _closed(self, blocks: list[str]) -> list[str]:
        self.open = self.open[sum(map(len, blocks)) :]
        return blocks


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
