"""A passage in the form in which a model reads it, and an estimate of the tokens of a text."""

from __future__ import annotations

import re

from agentd.records import Passage
from agentd.text.markup import tables_told

_NUMBERED = re.compile(r"^[ \t]{0,8}\[(\d{1,3})\]", re.MULTILINE)
"""A line of a document that looks like the first line of a passage."""


def render_passage(passage: Passage, *, numbered: bool = True) -> str:
    """A passage as models without a form of their own for it read it; each row with what its columns are called."""
    text = tables_told(passage.text, passage.head)
    source = f"{passage.title}, {passage.heading}" if passage.heading else passage.title
    if not numbered:
        return f"{source}\n{text}\n"
    return f"[{passage.n}] {source}\n{_NUMBERED.sub(_in_parentheses, text)}\n"


def _in_parentheses(number: re.Match[str]) -> str:
    return f"({number[1]})"


def estimate_tokens(text: str) -> int:
    """The tokens of a text by rule of thumb (3 bytes each), if asking the model would cost more than it is worth."""
    return len(text.encode("utf-8", "surrogatepass")) // 3 + 4
