"""The sentences of some passages, each with its surroundings; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from agentd.records import Passage
from agentd.text.language import sentences, stems
from agentd.text.markup import Block, blocks, is_markdown, told

LETTERS = 0.6
"""In a text that says something, at least this part of the visible characters (without code) are letters or digits."""
_MARK = re.compile(r"[^\w\s`]|_")
_DRAWN = re.compile("[\u2500-\u25ff]")
"""Characters that draw diagrams and folder trees: lines, blocks and arrow heads."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_EMPTY = Block(kind="code", text="```\n\n```")
_REMARK = re.compile(r"\S[ \t]+(?:#|//|--)[ \t]+[^\W\d_]{2}")
"""The part of a line of code that says what the line does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence of passage `passage`, the `n`-th of all; sentences of one paragraph have the same `block`.

    `text` is how it is said: a row of a table with what its columns are called, a line of code as it stands.
    """

    passage: int
    n: int
    block: int
    kind: Literal["prose", "item", "row", "code"]
    text: str
    held: str
    """What stands in the document word for word, markup aside."""
    sequence: tuple[str, ...]
    """The stems of its words, in order."""
    stems: frozenset[str]
    before: frozenset[str]
    """The stems of the sentence before it in its paragraph."""
    heading: frozenset[str]
    title: frozenset[str]
    head: frozenset[str] = frozenset()
    """The stems of what the columns of its table are called."""
    info: str = ""
    """What its block of code says of itself, which is most often its language."""

    @property
    def is_told(self) -> bool:
        """Whether it says something by itself: not a line of code that nothing explains."""
        return self.kind != "code" or _REMARK.search(self.text) is not None


def candidates(passages: Sequence[Passage], language: str) -> Iterator[Sentence]:
    """All sentences, list items, rows and lines of code, in reading order; stems are those of `language`."""
    numbers = count()
    paragraphs = count()
    for passage in passages:
        title = frozenset(stems(passage.title, language))
        heading = frozenset(stems(passage.heading, language))
        for block in _whole(passage):
            if block.kind == "heading":
                heading = frozenset(stems(f"{passage.heading} {block.text}", language))
                continue
            paragraph = next(paragraphs)
            said: frozenset[str] = frozenset()
            head = frozenset(stems(" ".join(block.head), language))
            for text in _split(block):
                sequence = tuple(stems(text, language))
                before, said = said, frozenset(sequence)
                yield Sentence(
                    passage=passage.n,
                    n=next(numbers),
                    block=paragraph,
                    kind=block.kind,
                    text=told(block.cells, block.head) if block.kind == "row" else text,
                    held=text,
                    sequence=sequence,
                    stems=said,
                    before=before,
                    heading=heading | head,
                    title=title,
                    head=head,
                    info=block.text.partition("\n")[0][3:] if block.kind == "code" else "",
                )


def as_code(line: str) -> str:
    """A line of code as it stands within a sentence."""
    line = " ".join(line.split())
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def _whole(passage: Passage) -> Sequence[Block]:
    """The blocks of a passage, without the end of a block of code that begins in another passage."""
    found = blocks(passage.text, markdown=is_markdown(passage.source), head=passage.head)
    closes = bool(found) and found[-1] == _EMPTY and len(_FENCE.findall(passage.text)) % 2 == 1
    return () if closes else found


def _split(block: Block) -> list[str]:
    if block.kind == "code":
        return [line.rstrip() for line in block.text.split("\n")[1:-1] if line.strip()]
    if not _is_said(block.text):
        return []
    if block.kind == "row":
        return [block.text]
    return [block.text[start:end] for start, end in sentences(block.text)]


def _is_said(text: str) -> bool:
    """Whether a text consists of words rather than of lines and signs."""
    visible = len("".join(text.split())) - text.count("`")
    drawn = not text.isascii() and _DRAWN.search(text)
    return not drawn and visible - len(_MARK.findall(text)) >= LETTERS * visible
