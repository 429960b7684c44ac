"""An answer that is being made, cleaned for a terminal: no escape sequences, no marks of sources that do not exist."""

from __future__ import annotations

import re

from agentd.text.plain import plain

_MARKS = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|[ \t]?\[(\d{1,3})\]", re.DOTALL)
"""Code, which is left alone, or a citation mark with the blank before it."""
_UNFINISHED = re.compile(r"(?:[ \t]?\[\d{0,3}|[ \t]|\x1b[^\n]*)\Z")
"""What may become a mark or an escape sequence with the next piece."""


class Draft:
    """The text of one attempt, put together from pieces with offsets."""

    def __init__(self) -> None:
        self._raw = ""
        self._whole = True
        self.known: frozenset[int] | None = None
        """Numbers of the passages that were found; None leaves every mark."""

    def add(self, n: int, text: str) -> None:
        """A piece at offset `n` of the raw text; after a hole nothing is added, for the answer will have it all."""
        if n > len(self._raw):
            self._whole = False
        if self._whole:
            self._raw = self._raw[:n] + text

    @property
    def text(self) -> str:
        """What can be shown; an end that may still turn out to be something else is held back."""
        return plain(without_unknown(_UNFINISHED.sub("", self._raw), self.known))


def without_unknown(text: str, known: frozenset[int] | None) -> str:
    """The text without citation marks of passages that were not found, as the final answer will not have them."""
    if not known:
        return text
    return _MARKS.sub(lambda mark: mark[0] if mark[1] is None or int(mark[1]) in known else "", text)
