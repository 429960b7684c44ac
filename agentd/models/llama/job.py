"""The scheduler's records: a request as a job, where it begins, and its part of the next batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.models.llama.pool import Left, Slot
from agentd.ports.generation import Priority

_RANK: dict[Priority, int] = {"interactive": 0, "tool": 1, "background": 2}


@dataclass(slots=True, eq=False)
class Job:
    """A request: `tokens` are its prompt and what was generated; it may generate `remaining` more tokens.

    No batch reads its prompt past a checkpoint, so that the cache can be stored there.
    """

    id: int
    session: str
    tokens: list[int]
    remaining: int
    priority: Priority = "interactive"
    checkpoints: tuple[int, ...] = ()
    order: int = 0
    position: int = 0
    """In the queue of the jobs with the same priority."""
    slot: Slot | None = None
    cached: int | None = None
    """Tokens of the prompt that were in the cache when the job was first placed; None before that."""
    leader: Job | None = None
    """The job waits until this one has decoded their common beginning of `lead` tokens."""
    lead: int = 0

    @property
    def pending(self) -> int:
        """Tokens that are not in the cache yet; 1 while the job generates."""
        slot = self.slot
        return len(self.tokens) - (0 if slot is None else len(slot.tokens))

    @property
    def rank(self) -> int:
        return _RANK[self.priority]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A beginning of `length` tokens that is stored outside the cache; a job can use the first `keep` of them."""

    key: int
    length: int
    keep: int


Find = Callable[[Sequence[int]], Stored | None]
"""Finds the longest stored beginning of a prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A job gets a slot: clear what was `evicted`, then keep, copy or restore, and tell `Scheduler.place` the result.

    The job begins with `keep` tokens, which come from the slot itself, from `donor`, or from `stored`.
    """

    job: Job
    slot: Slot
    keep: int
    donor: Slot | None
    stored: Stored | None
    evicted: tuple[Left, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Tokens of one slot for the next batch. If they include the `last` token of the job, the next one is sampled.

    The last `guessed` of the tokens are guesses at what will be sampled.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    last: bool
    guessed: int = 0


Guess = Callable[[Job, int], Sequence[int]]
"""Guesses what a job says next: at most so many tokens."""
