"""Finds plain sentences in the text with markup that they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence

SPARE = 40
"""How many words of markup, such as the address of a link, may be between the words of the sentences."""
BEGINS = 100
"""Maximum positions of the first word that are tried."""
_WORD = re.compile(r"[^\W_]+")
_CLOSES = re.compile(r"[^\w\s]*")


def located(text: str, sentences: Sequence[str]) -> tuple[int, int]:
    """The span from the first word of the first sentence to the end of the last; the whole text if that fails.

    The text contains the sentences word for word, except for markup between their words.
    """
    words = [(found[0], found.start(), found.end()) for found in _WORD.finditer(text)]
    wanted = [word for sentence in sentences for word in _WORD.findall(sentence)]
    begins = [n for n, (word, _, _) in enumerate(words) if wanted and word == wanted[0]][:BEGINS]
    for spare in (0, SPARE):
        for n in begins:
            if (end := _end(words, n, wanted, spare)) is not None:
                closing = _CLOSES.match(text, end)
                return words[n][1], closing.end() if closing else end
    return 0, len(text)


def _end(words: Sequence[tuple[str, int, int]], n: int, wanted: Sequence[str], spare: int) -> int | None:
    """The end of the last word if all come in this order from position `n` on, with at most `spare` others between."""
    last = n
    for word in wanted:
        while n < len(words) and words[n][0] != word:
            n, spare = n + 1, spare - 1
            if spare < 0:
                return None
        if n == len(words):
            return None
        last, n = n, n + 1
    return words[last][2]
