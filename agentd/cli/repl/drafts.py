"""An answer that is being made, without escape sequences and without citations of sources that do not exist."""

from __future__ import annotations

import re

from agentd.text.plain import plain

_MARKS = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|[ \t]?\[(\d{1,3})\]", re.DOTALL)
"""Code, which stays as it is, or a citation with the blank before it."""
_UNFINISHED = re.compile(r"(?:[ \t]?\[\d{0,3}|[ \t]|\x1b[^\n]*)\Z")
"""An end of the text that the next piece may turn into a citation or an escape sequence."""


class Draft:
    """The text of one attempt, put together from pieces with offsets."""

    def __init__(self) -> None:
        self._raw = ""
        self._whole = True
        self.known: frozenset[int] | None = None
        """The numbers of the passages that were found; None keeps every citation."""

    def add(self, n: int, text: str) -> None:
        """Add a piece at offset `n` of the raw text; after a hole nothing is added, and the answer will have it all."""
        if n > len(self._raw):
            self._whole = False
        if self._whole:
            self._raw = self._raw[:n] + text

    @property
    def text(self) -> str:
        """The text that can be shown; an end that may still become something else is held back."""
        return plain(without_unknown(_UNFINISHED.sub("", self._raw), self.known))


def without_unknown(text: str, known: frozenset[int] | None) -> str:
    """The text without citations of passages that were not found; the final answer will not have them either."""
    if not known:
        return text
    return _MARKS.sub(lambda mark: mark[0] if mark[1] is None or int(mark[1]) in known else "", text)
