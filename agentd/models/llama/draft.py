"""Guesses what an answer says next by what was said before: answers from documents quote them. Pure.

The source of a guess is the newest place where the last three tokens stood before (prompt-lookup decoding,
https://github.com/apoorvumang/prompt-lookup-decoding). Nothing is risked before the model has followed a source for
some tokens by itself, and no more than it has earned by being followed.
"""

from __future__ import annotations

from collections.abc import Sequence

SEED = 3
"""Tokens that must agree for a place to be a source."""
SURE = 8
"""Tokens that must have agreed, the seed included, before a guess is made."""
FIRST, MOST = 8, 16
"""Tokens of the first guess and of a later one: more than 16 in a batch are hardly faster on a processor."""
STAKE = 8.0
"""Guessed tokens that may turn out wrong before any turned out right."""
RISK = 0.04
"""Of each token generated, what more may turn out wrong."""
GAIN = 0.25
"""Of each guess that turned out right."""


class Drafter:
    """Follows the `tokens` of one job, which the caller extends; call `added` after each."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._follows = dict(
            zip(zip(tokens, tokens[1:], tokens[2:], strict=False), range(SEED, len(tokens)), strict=False)
        )
        self._source: int | None = None
        """The place of the token that would come next."""
        self._agreed = 0
        self._length = FIRST
        self._credit = STAKE
        self.guessed = self.wrong = 0
        """Tokens, for the books."""

    def added(self) -> None:
        tokens = self._tokens
        self._credit += RISK
        if self._source is not None and tokens[self._source] == tokens[-1]:
            self._source += 1
            self._agreed += 1
        else:
            self._source, self._agreed = None, 0
        seed = (tokens[-3], tokens[-2], tokens[-1]) if len(tokens) >= SEED else None
        if seed is None:
            return
        if self._source is None and (source := self._follows.get(seed)) is not None:
            self._source, self._agreed = source, SEED
        self._follows[seed] = len(tokens)

    def guess(self, most: int) -> Sequence[int]:
        """At most so many tokens; none where there is no good reason to guess."""
        if self._source is None or self._agreed < SURE:
            return ()
        length = min(most, self._length, int(self._credit))
        if length < FIRST // 2:
            return ()
        tokens, start = self._tokens, self._source
        period = len(tokens) - start  # a source that reaches the end goes on with what it guesses itself
        return [tokens[start + i % period] for i in range(length)]

    def judged(self, guessed: int, right: int) -> None:
        """Of `guessed` tokens the first `right` were what the model said."""
        self.guessed += guessed
        self.wrong += guessed - right
        self._credit += GAIN * right - (guessed - right)
        self._length = min(MOST, self._length * 2) if right == guessed else FIRST
