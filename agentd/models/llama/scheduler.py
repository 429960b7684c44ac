"""Which sequence gets which tokens of the next batch; pure, and every decision about the cache is made here.

A job is a request with its tokens so far; a slot is one sequence of llama.cpp's cache with the tokens that it holds. In
each step every job that generates gets its one new token, and what room is left goes to prompts, the oldest first. A
job starts from the longest beginning that any slot holds, busy or not: the cache is unified, and a copy shares its
cells.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agentd.generation import Priority

BATCH = 512
"""Tokens of a step at most."""
WORTH_WAITING = 32
"""Tokens: how much longer a beginning that is being decoded must be than one that is there, to wait for it."""
HEADROOM = 64
"""Tokens that a job is sure to be able to generate when it is admitted."""
_RANK: dict[Priority, int] = {"interactive": 0, "tool": 1, "background": 2}


@dataclass(slots=True, eq=False)
class Job:
    """A request: `tokens` is its prompt and what was generated; `remaining` how many tokens it may yet generate."""

    id: int
    session: str
    tokens: list[int]
    remaining: int
    priority: Priority = "interactive"
    order: int = 0
    slot: Slot | None = None
    cached: int | None = None
    """Tokens of the prompt that were in the cache already when it was first placed; None before that."""
    leader: Job | None = None
    """It waits for this job to decode their common beginning of `lead` tokens."""
    lead: int = 0

    @property
    def pending(self) -> int:
        """Tokens that are not in the cache yet; 1 while it generates."""
        return len(self.tokens) - (len(self.slot.tokens) if self.slot else 0)


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence of the cache, `cells` the identities of the places that its tokens take, shared ones included."""

    number: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    session: str = ""
    used: int = 0
    job: Job | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A job takes a slot: clear `evict`, keep or copy, then tell `Scheduler.place` what came of it."""

    job: Job
    slot: Slot
    keep: int
    """Tokens to begin with: those of the slot itself, or copied from `donor` into the cleared slot."""
    donor: Slot | None
    evict: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Tokens of one slot for the next batch; after the `last` that its job has the next one is sampled."""

    slot: int
    start: int
    tokens: Sequence[int]
    last: bool


class Scheduler:
    """At most `slots` jobs at once in a cache of `context` cells; `whole_only` for a cache that keeps no beginnings."""

    def __init__(self, *, slots: int, context: int, whole_only: bool = False) -> None:
        self._slots = [Slot(i) for i in range(slots)]
        self._context = context
        self._whole_only = whole_only
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._references: dict[int, int] = {}
        self._next_cell = self._next_order = self._now = 0

    @property
    def waiting(self) -> Sequence[Job]:
        """In the order in which they will be placed."""
        return self._waiting

    @property
    def running(self) -> Sequence[Job]:
        """In the order in which they came."""
        return self._running

    def job_of(self, span: Span) -> Job:
        job = self._slots[span.slot].job
        assert job is not None
        return job

    @property
    def used(self) -> int:
        """Cells of the cache that hold a token, each counted once."""
        return len(self._references)

    def submit(self, job: Job) -> None:
        """The prompt must be shorter than the context."""
        self._next_order += 1
        job.order = self._next_order
        self._wait(job)

    def _wait(self, job: Job) -> None:
        insort(self._waiting, job, key=lambda waiting: (_RANK[waiting.priority], waiting.order))

    def end(self, job: Job) -> None:
        """The job is over or not wanted any more; what it had decoded stays for its session."""
        if job.slot is None:
            self._waiting.remove(job)
        else:
            self._release(job)

    def _release(self, job: Job) -> None:
        slot = job.slot
        if slot is not None:
            slot.job, slot.used, job.slot = None, self._now, None
        self._running.remove(job)

    # --- Placing -----------------------------------------------------------------------------------------------------

    def admit(self) -> Placement | None:
        """The next job that can be placed now, None if there is none; `place` must follow before the next call."""
        free = [slot for slot in self._slots if slot.job is None]
        if not free:
            return None
        for job in self._waiting:
            if self._follows(job):
                continue
            slot = self._choose(job, free)
            keep, donor = self._beginning(job, slot)
            if not self._worth_placing(job, keep):
                continue
            evict = self._evictions(job, keep, slot, donor)
            if evict is None:
                return None
            return Placement(job=job, slot=slot, keep=keep, donor=donor, evict=evict)
        return None

    def place(self, placement: Placement, kept: int) -> None:
        """The placement was carried out, and the slot now holds the first `kept` tokens of the job."""
        job, slot, donor = placement.job, placement.slot, placement.donor
        cells = list((donor or slot).cells[:kept])
        for cell in cells:
            self._references[cell] += 1
        self._drop(slot)
        slot.tokens, slot.cells = job.tokens[:kept], cells
        slot.session, slot.job, job.slot = job.session, job, slot
        job.leader = None
        job.cached = kept if job.cached is None else job.cached
        self._waiting.remove(job)
        insort(self._running, job, key=lambda running: running.order)

    def _follows(self, job: Job) -> bool:
        leader = job.leader
        return leader is not None and leader.slot is not None and len(leader.slot.tokens) < job.lead

    def _worth_placing(self, job: Job, keep: int) -> bool:
        """False where another job is decoding a much longer common beginning: then it pays to wait for that."""
        job.leader = None
        if self._whole_only:
            return True
        for other in self._running:
            if other.pending > 1:
                lead = min(common(other.tokens, job.tokens), len(job.tokens) - 1)
                if lead > keep + WORTH_WAITING:
                    job.leader, job.lead = other, lead
                    return False
        return True

    def _choose(self, job: Job, free: Sequence[Slot]) -> Slot:
        """The session's own slot, else an empty one, else the one that was used longest ago."""
        return min(free, key=lambda slot: (slot.session != job.session, bool(slot.tokens), slot.used))

    def _beginning(self, job: Job, slot: Slot) -> tuple[int, Slot | None]:
        """The longest beginning to be had, and from which other slot; one token at least is left to decode."""
        keep, donor = self._held(slot, job), None
        for other in self._slots:
            if other is not slot and (held := self._held(other, job)) > keep:
                keep, donor = held, other
        return keep, donor

    def _held(self, slot: Slot, job: Job) -> int:
        held = min(common(slot.tokens, job.tokens), len(job.tokens) - 1)
        return held if not self._whole_only or held == len(slot.tokens) else 0

    def _evictions(self, job: Job, keep: int, slot: Slot, donor: Slot | None) -> tuple[int, ...] | None:
        """Idle slots that were cleared to make room, the longest unused first; None where even that is too little."""
        need = len(job.tokens) - keep + min(job.remaining, HEADROOM)
        need += sum(other.pending + min(other.remaining, HEADROOM) for other in self._running)
        spared = slot.cells if donor is None else donor.cells
        idle = sorted((s for s in self._slots if s.job is None and s.cells), key=lambda s: s.used)
        room = self._context - len({*spared[:keep], *(cell for s in self._slots if s.job for cell in s.cells)})
        if need > room and self._running:
            return None
        evicted: list[int] = []
        for other in idle:
            if self.used + need <= self._context:
                break
            if other is not slot and other is not donor:
                self._drop(other)
                evicted.append(other.number)
        return tuple(evicted)

    def _drop(self, slot: Slot) -> None:
        for cell in slot.cells:
            self._references[cell] -= 1
            if not self._references[cell]:
                del self._references[cell]
        slot.tokens, slot.cells, slot.session = [], [], ""

    # --- A step ------------------------------------------------------------------------------------------------------

    def plan(self, *, alone: int, together: int) -> list[Span]:
        """The next batch: prompts get `alone` tokens of it, or `together` while others generate."""
        self._now += 1
        spans = [span for job in self._running if job.pending == 1 for span in self._spans(job, 1)]
        room = min(together if spans else alone, BATCH - len(spans))
        for job in self._running:
            if job.pending > 1 and room > 0:
                spans += self._spans(job, room)
                room -= len(spans[-1].tokens)
        return spans

    def _spans(self, job: Job, most: int) -> Iterator[Span]:
        if job.slot is not None:
            start = len(job.slot.tokens)
            tokens = job.tokens[start : start + most]
            last = start + len(tokens) == len(job.tokens)
            yield Span(slot=job.slot.number, start=start, tokens=tokens, last=last)

    def decoded(self, spans: Sequence[Span]) -> None:
        """The batch is in the cache."""
        for span in spans:
            slot = self._slots[span.slot]
            cells = range(self._next_cell, self._next_cell + len(span.tokens))
            self._next_cell = cells.stop
            slot.tokens += span.tokens
            slot.cells += cells
            self._references.update(dict.fromkeys(cells, 1))

    def sampled(self, job: Job, token: int) -> bool:
        """The job goes on with this token; False where that was the last that it may have."""
        job.tokens.append(token)
        job.remaining -= 1
        return job.remaining > 0 and len(job.tokens) < self._context

    def make_room(self) -> int | None:
        """The slot to clear because the cache was full: an idle one, else the newest job waits again.

        None where one job has it all.
        """
        idle = [slot for slot in self._slots if slot.job is None and slot.cells]
        if idle:
            slot = min(idle, key=lambda slot: slot.used)
        elif len(self._running) > 1:
            job = max(self._running, key=lambda job: (_RANK[job.priority], job.order))
            assert job.slot is not None
            slot = job.slot
            self._release(job)
            self._wait(job)
        else:
            return None
        self._drop(slot)
        return slot.number

    def forget(self, slot: int) -> None:
        """The cache of this slot was cleared."""
        self._drop(self._slots[slot])


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest common beginning; compares slices, which is quick for thousands of tokens."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
