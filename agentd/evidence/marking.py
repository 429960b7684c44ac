"""Puts citations into an answer while it streams: `[n]` after each sentence that rests on a passage."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from agentd.text.language import sentences

Rests = Callable[[str], Collection[int]]
"""The numbers of the passages on which a sentence rests."""

_OWN = re.compile(r"(?:(?<![ \t])[ \t]++)?\[\s*\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\s*\]")
_MAY_BE_OWN = re.compile(r"(?:(?<![ \t])[ \t]++)?(?:\[[\d\s,;-]*+)?\Z")
"""An end of the text that may become a citation or consists of blanks."""
LONGEST = 1500
"""After this many characters a sentence counts as ended, because all of it is read again whenever it grows."""
WAITING = 200
"""Maximum characters that wait for what follows them."""
PIECE = 2000
"""How many characters are looked at at once."""
_FENCE = "```"


class Marker:
    """Feed it an answer piece by piece; it returns the answer with citations.

    Citations by the model itself are dropped, because it does not know the numbers. The first passage that is used is
    [1], the next one [2]; `used` has their own numbers in this order. Code gets no citations.
    """

    def __init__(self, rests: Rests) -> None:
        self.rests = rests
        self._held = ""
        self._said = 0
        """How many characters of `_held` were returned already."""
        self._code = False
        self.used: list[int] = []

    def feed(self, text: str) -> str:
        """The text that is certain now; blanks after a sentence wait for what follows."""
        return "".join(self._feed(text[at : at + PIECE]) for at in range(0, len(text), PIECE))

    def _feed(self, text: str) -> str:
        self._held += text
        given: list[str] = []
        while (end := self._end()) is not None:
            given.append(self._sentence(end))
        certain = self._certain()
        given.append(self._held[self._said : certain])
        self._said = certain
        return "".join(given)

    def _certain(self) -> int:
        """How much of the held text cannot be the beginning of a citation."""
        keep = _MAY_BE_OWN.search(self._held, self._said)
        return max(keep.start(), len(self._held) - WAITING) if keep else len(self._held)

    def finish(self) -> str:
        """The rest, if there is no more text."""
        if not self._code:
            self._drop_own()
        return self._sentence(len(self._held)) if self._held else ""

    def _end(self) -> int | None:
        """The end of the first sentence; None as long as it may go on."""
        if not self._code:
            self._drop_own()
        line = self._held.find("\n", 0, LONGEST)
        found = sentences(self._held[:LONGEST] if line < 0 else self._held[:line])
        if len(found) > 1:
            return found[0][1]
        if line >= 0:
            return line + 1
        return LONGEST if self._certain() >= LONGEST else None

    def _drop_own(self) -> None:
        """Drop the model's own citations, which were held back until they were whole."""
        self._held = self._held[: self._said] + _OWN.sub("", self._held[self._said :])

    def _sentence(self, end: int) -> str:
        text, rest = self._held[:end], self._held[end:]
        given = text[self._said :]
        if _FENCE in text:
            self._code = not self._code
        elif not self._code:
            body = given.rstrip()
            marks = "".join(f" [{self.number(n)}]" for n in self.rests(text.strip())) if text.strip() else ""
            given = body + marks + given[len(body) :]
        self._held, self._said = rest, 0
        return given

    def number(self, passage: int) -> int:
        """The number for a citation of this passage, a new one if it has none yet."""
        if passage not in self.used:
            self.used.append(passage)
        return self.used.index(passage) + 1
