"""Whether a reply is an answer at all: small models repeat themselves or their prompt, or write only numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from agentd.evidence.call_forms import looks_like_call

Flaw = Literal["empty", "marks", "copy", "circles", "call"]
FLAWS: dict[Flaw, str] = {
    "empty": "it said nothing",
    "marks": "it only gave numbers in brackets",
    "copy": "it repeated what it was told",
    "circles": "it went round in circles",
    "call": "it called a tool instead of answering",
}
"""What people are told about each flaw."""

TAIL = 1200
"""How many characters at the end of an answer are searched for circles."""
STEP = 32
"""After how many characters the search is repeated."""
SHORTEST_CIRCLE = 60
"""Minimum characters of a circle, all rounds together."""
TURNS = 4
"""How often a piece must be repeated in a row to be a circle; a short piece, more often."""
LONGEST_PERIOD = TAIL // 3
LONGEST_RULE = 300
"""Maximum characters of a line that is drawn with one character."""
SENTENCE = 24
"""Minimum characters of a sentence that an honest answer does not repeat."""
SAME = 3
"""How often such a sentence among the newest ones makes a circle."""
COPIED = 24
"""Minimum characters of a copy; shorter texts may be equal by chance."""
TOLD = 65_536
"""How many characters of its prompt an answer is compared with."""

_MARK = re.compile(r"\[\s*\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\s*\]")
_WORD = re.compile(r"\w")
_END = re.compile(r"(?<=[.!?\n])\s+|\n+")
_PLAIN = re.compile(r"[\W_]+")


def flaw(reply: str, *, told: Iterable[str]) -> Flaw | None:
    """Why a reply is not an answer; None if it may be one. `told` is the prompt: instructions and question.

    `Circles` finds circles while the reply is made.
    """
    if not _WORD.search(reply):
        return "empty"
    if not _WORD.search(_MARK.sub("", reply)):
        return "marks"
    if looks_like_call(reply):
        return "call"
    if is_refusal(_END.split(reply.strip(), maxsplit=1)[0]):
        return None
    said = _bare(reply)
    if any(_is_copy(said, _bare(text[:TOLD])) for text in told):
        return "copy"
    return None


_REFUSAL = re.compile(
    r"(?:documents?|passages?|texts?|context)\b[^.!?\n]{0,40}?\b(?:do(?:es)?|did)(?: not|n't) "
    r"(?:say|hold|contain|mention|provide|give|state|specify|include|answer)",
    re.IGNORECASE,
)


def is_refusal(reply: str) -> bool:
    """Whether a reply says, in the words of the instructions, that the documents do not contain the answer."""
    return _REFUSAL.search(reply[:300]) is not None


def _is_copy(said: str, told: str) -> bool:
    """Whether the prompt contains the whole reply, or the reply begins with most of the prompt."""
    whole = len(said) >= COPIED and said in told
    begins = len(told) >= 2 * COPIED and said.startswith(told[: max(2 * COPIED, len(told) * 2 // 3)])
    return whole or begins


def _bare(text: str) -> str:
    return _PLAIN.sub(" ", _MARK.sub("", text)).strip().lower()


class Circles:
    """Feed it an answer piece by piece; it notices when the answer only repeats itself.

    That is the same piece of text several times in a row, or the same sentence again and again.
    """

    def __init__(self) -> None:
        self._text = ""
        self._looked = 0
        self._length = 0
        self.began: int | None = None
        """Where the first repetition begins, in characters of the whole answer; None if there is none."""
        self.first = 0
        """Where the repeated text occurred for the first time."""

    def feed(self, text: str) -> bool:
        """Whether the answer goes round in circles now."""
        self._text = (self._text + text)[-TAIL:]
        self._length += len(text)
        if self._length - self._looked >= STEP and self.began is None:
            self._looked = self._length
            at = _row(self._text)
            at = _sentence(self._text) if at is None else at
            if at is not None:
                before = self._length - len(self._text)
                self.first, self.began = before + at[0], before + at[1]
        return self.began is not None


def _row(text: str) -> tuple[int, int] | None:
    """The beginnings of the first and second round of a circle at the end of the text."""
    size = len(text)
    for period in range(1, min(LONGEST_PERIOD, size // 3) + 1):
        needed = max(SHORTEST_CIRCLE, TURNS * period if period < LONGEST_PERIOD // 2 else 3 * period)
        if needed + period > size or text[size - needed :] != text[size - needed - period : size - period]:
            continue
        begin = size - needed - period
        while begin > 0 and text[begin - 1] == text[begin - 1 + period]:
            begin -= 1
        if len(set(text[begin:])) == 1 and size - begin < LONGEST_RULE:
            return None
        return begin, begin + period
    return None


def _sentence(text: str) -> tuple[int, int] | None:
    """The first and second position of a sentence that was said too often."""
    seen: Counter[str] = Counter()
    positions: dict[str, list[int]] = {}
    start = 0
    for end in (found.end() for found in _END.finditer(text)):
        bare = _bare(text[start:end])
        if len(bare) >= SENTENCE:
            seen[bare] += 1
            if seen[bare] >= SAME:
                return positions[bare][0], positions[bare][1]
            positions.setdefault(bare, []).append(start)
        start = end
    return None
