"""The scheduler's records: a request as a job, where it begins, and what of it goes into the next batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.models.llama.pool import Left, Slot
from agentd.ports.generation import Priority

_RANK: dict[Priority, int] = {"interactive": 0, "tool": 1, "background": 2}


@dataclass(slots=True, eq=False)
class Job:
    """A request: `tokens` is its prompt and what was generated; `remaining` how many tokens it may yet generate.

    Its prompt is read up to each of `marks` before it is read on, so that the cache can be stored there.
    """

    id: int
    session: str
    tokens: list[int]
    remaining: int
    priority: Priority = "interactive"
    marks: tuple[int, ...] = ()
    order: int = 0
    place: int = 0
    """In the queue of those that are as urgent."""
    slot: Slot | None = None
    cached: int | None = None
    """Tokens of the prompt that were in the cache already when it was first placed; None before that."""
    leader: Job | None = None
    """It waits for this job to decode their common beginning of `lead` tokens."""
    lead: int = 0

    @property
    def pending(self) -> int:
        """Tokens that are not in the cache yet; 1 while it generates."""
        slot = self.slot
        return len(self.tokens) - (0 if slot is None else len(slot.tokens))

    @property
    def rank(self) -> int:
        return _RANK[self.priority]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A beginning of `length` tokens outside of the cache, of which a job can use the first `keep`."""

    key: int
    length: int
    keep: int


Find = Callable[[Sequence[int]], Stored | None]
"""The longest stored beginning of a prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A job takes a slot: clear what was `evicted`, keep, copy or restore, then tell `Scheduler.place` what came of it.

    The job begins with `keep` tokens: of the slot itself, of `donor`, or restored from `stored`.
    """

    job: Job
    slot: Slot
    keep: int
    donor: Slot | None
    stored: Stored | None
    evicted: tuple[Left, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Tokens of one slot for the next batch; after the `last` that its job has the next one is sampled.

    The last `guessed` of the tokens are only guesses of what will be sampled.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    last: bool
    guessed: int = 0


Guess = Callable[[Job, int], Sequence[int]]
"""What a job may say next: so many tokens at most."""
