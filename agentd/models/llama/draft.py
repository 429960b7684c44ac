"""Guesses how an answer goes on from what was said before, because answers from documents quote them. Pure.

The source of a guess is the newest position at which the last three tokens stood before (prompt-lookup decoding,
https://github.com/apoorvumang/prompt-lookup-decoding). A guess is made only after the model has followed a source for
some tokens by itself; it has no more tokens than the model has followed, and no more than earlier guesses have earned.
"""

from __future__ import annotations

from collections.abc import Sequence

SEED = 3
"""Tokens that must agree so that a position is a source."""
SURE = 8
"""Tokens that must have agreed, the seed included, before a guess is made."""
LEAST, MOST, STRIDE = 8, 64, 4
"""Tokens of a guess, including the certain one before it. On a processor, llama.cpp multiplies rows in strides: one row
more costs as much as another full stride, and fewer than 8 in a batch are hardly faster than one by one."""
STAKE, MOST_CREDIT = 8.0, 128.0
"""The credit at the beginning, and the largest credit; a guess is never longer than the credit."""
RISK, LOSS = 0.07, 2.0
"""Each generated token adds RISK to the credit, each wrong token of a guess takes LOSS, each right one adds 1.

So about a third of all guessed tokens may be wrong, which is what guessing is worth, and RISK / LOSS of an answer more.
"""


class Drafter:
    """Follows the `tokens` of one job. The caller extends them, and calls `added` after each."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._follows = dict(
            zip(zip(tokens, tokens[1:], tokens[2:], strict=False), range(SEED, len(tokens)), strict=False)
        )
        self._source: int | None = None
        """The position of the token that would come next."""
        self._agreed = 0
        self._credit = STAKE
        self.guessed = self.wrong = 0
        """Tokens, for the figures of the request."""

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
        """At most so many tokens; none if there is no good reason to guess."""
        if self._source is None or self._agreed < SURE:
            return ()
        width = min(MOST, int(min(most, self._agreed, self._credit)) + 1) // STRIDE * STRIDE
        if width < LEAST:
            return ()
        tokens, start = self._tokens, self._source
        period = len(tokens) - start  # a source that reaches the end goes on with what it guesses itself
        return [tokens[start + i % period] for i in range(width - 1)]

    def judged(self, guessed: int, right: int) -> None:
        """The first `right` of `guessed` tokens were what the model said."""
        self.guessed += guessed
        self.wrong += guessed - right
        self._credit = min(MOST_CREDIT, self._credit + right - LOSS * (guessed - right))
