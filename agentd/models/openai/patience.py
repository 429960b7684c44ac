"""How long to wait for an answer: the limit that counts now, and its name."""

from __future__ import annotations

import asyncio

AFTER_END = 5.0
"""Seconds in which the figures must follow the end of an answer."""


class Patience:
    """The limits of one answer, in seconds. All end at the `deadline` of the turn, by the clock of the event loop.

    `until` is when the current limit ends, `problem` what has not happened by then.
    """

    def __init__(self, *, first: float, idle: float, turn: float, deadline: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._first = first
        self._idle = idle
        self._turn = turn
        self._deadline = deadline
        self._begun = False
        self.longest = max(first, idle, turn)
        self.until = min(self._clock() + first, deadline)

    def went_on(self, *, begun: bool, ended: bool, said: bool) -> None:
        """Something has arrived. If it `said` something, the limit starts again; after the end only figures follow."""
        if ended:
            self.until = min(self._clock() + AFTER_END, self._deadline)
        elif said:
            self._begun = begun
            self.until = min(self._clock() + (self._idle if begun else self._first), self._deadline)

    @property
    def problem(self) -> str:
        if self._clock() >= self._deadline:
            return f"did not end its answer within {self._turn:g} s"
        if self._begun:
            return f"said nothing more within {self._idle:g} s"
        return f"did not begin to answer within {self._first:g} s"
