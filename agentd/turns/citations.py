"""The marks and quotes in an answer that say which passage it rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentd.records import Citation, Passage

_MARKS = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|[ \t]?\[(\d{1,3})\]", re.DOTALL)
"""Code, which is left alone, or a citation mark with the blank before it."""
GIVEN = "(the text given)"
"""The citation of a text that came with the question."""
_QUOTE = re.compile(r"> [^\n]+ \[\d{1,3}\]")


def quoted(sentence: str, mark: str) -> str:
    """The sentence of a document that an answer rests on, as it is put below the answer."""
    return f"\n\n> {' '.join(sentence.split())} {mark}"


def without_sources(text: str) -> str:
    """An answer as the model gave it: without the marks and quotes that agentd added."""
    return without_marks(_without_quotes(text)).replace(f" {GIVEN}", "")


def without_marks(text: str) -> str:
    """A text without citation marks."""
    return _MARKS.sub(lambda found: found[0] if found[1] is None else "", text)


def _without_quotes(text: str) -> str:
    """The text without the quotes at its end: each is a line after an empty line."""
    kept, end = len(text), len(text.rstrip())
    while (line := text.rfind("\n", 0, end)) > 0 and text[line - 1] == "\n" and _QUOTE.fullmatch(text, line + 1, end):
        kept = end = line - 1
        while end and text[end - 1] in " \t":
            end -= 1
    return text[:kept]


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """The text without marks of passages that were not retrieved, and the places that it does cite, in mark order."""
    known = {passage.n: passage for passage in passages}
    cited: set[int] = set()

    def keep(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        n = int(match[1])
        if n not in known:
            return ""
        cited.add(n)
        return match[0]

    checked = _MARKS.sub(keep, text) if known else text
    fields = set(Citation.model_fields)
    return checked, tuple(Citation(**known[n].model_dump(include=fields)) for n in sorted(cited))
