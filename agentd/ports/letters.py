"""Letters: durable events that are not done with, and what the owner decides about those that were given up.

A letter is a question without an answer, or an answer that was not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import FailFast

from agentd.ports.house import ToldData
from agentd.records import Address


class Letter(ToldData):
    """One event that is not done with; ages are in seconds.

    `age` counts from when it came to be, or from when it was taken back out of the dead letters. `attempts` are sends
    that count, for a question the starts of its turn. `next_try` None: now, or when somebody is there. `error` is the
    last one, or why it was given up, and `dead_age` is how long ago that was, None if that is not known.
    """

    id: str
    state: Literal["pending", "dead"]
    kind: Literal["inbound", "outbound"]
    turn: str
    session: str
    address: Address
    age: float
    attempts: int
    next_try: datetime | None = None
    error: str = ""
    dead_age: float | None = None


class LetterCounts(ToldData):
    pending: int
    dead: int


class LetterList(ToldData):
    """The oldest of each kind, and how many there are in all."""

    pending: Annotated[tuple[Letter, ...], FailFast()]
    dead: Annotated[tuple[Letter, ...], FailFast()]
    counts: LetterCounts


class LetterShown(ToldData):
    """One letter with its event and all that was noted of it, as they are stored."""

    letter: Letter
    event: Mapping[str, Any]
    log: Annotated[tuple[Mapping[str, Any], ...], FailFast()]

    @property
    def text(self) -> str:
        return str(self.event.get("text", ""))


class Decided(ToldData):
    """The dead letters that were retried or dropped, those that were not and why, and whether there are more."""

    done: Annotated[tuple[str, ...], FailFast()]
    failed: Mapping[str, str]
    more: bool = False
