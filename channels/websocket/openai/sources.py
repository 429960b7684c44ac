"""The sources of an answer: a short list at the end of its text, and where in the text `[n]` cites each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentd.records import Citation
from agentd.text.plain import plain_line

HEAD = "\n\n---\nSources:\n"
"""What begins the list; in an answer that comes back, everything from here on is ours."""
_LINE = re.compile(r"\[\d{1,4}\] \S.*")
_MARK = re.compile(r"\[(\d{1,4})\]")


def source_list(citations: Sequence[Citation]) -> str:
    """The list at the end of an answer; "" without sources."""
    if not citations:
        return ""
    return HEAD + "\n".join(f"[{each.n}] {_line(each)}" for each in citations)


def _line(citation: Citation) -> str:
    where = plain_line(citation.where)
    return f"{citation.title} ({where})" if citation.title else where


def without_sources(text: str) -> str:
    """An answer as the model gave it, without the list that stands at its end."""
    said, head, lines = text.rpartition(HEAD)
    is_list = bool(head) and all(_LINE.fullmatch(line) for line in lines.rstrip().split("\n"))
    return said if is_list else text


def marks(text: str, citations: Sequence[Citation]) -> Iterator[tuple[int, Citation]]:
    """Where in the text, in characters, each source is cited."""
    by_number = {citation.n: citation for citation in citations}
    for found in _MARK.finditer(text):
        if (citation := by_number.get(int(found[1]))) is not None:
            yield found.start(), citation
