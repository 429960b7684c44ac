"""Which sequence gets which tokens of the next batch; pure, and every decision about the cache is made here.

A job is a request with its tokens so far; a slot is one sequence of llama.cpp's cache with the tokens that it holds.
One step decodes one token for every job that generates; the next step reads prompts, if there are any: more urgent
ones first, then older ones. A job starts from the longest beginning that any slot holds, busy or not, or that is stored
outside the cache. Sessions take turns: one with many jobs does not hold up one with few.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from agentd.models.llama.job import Find, Guess, Job, Placement, Span, Stored
from agentd.models.llama.pool import Left, Pool, Slot, common

BATCH = 512
"""Tokens of a step at most."""
TILE = 64
"""Tokens that llama.cpp's attention on processors handles at once. Fewer tokens of a prompt cost as much, which matters
after a long beginning; and one answer in the same batch makes it read everything in the cache."""
LONG = 512
"""After a beginning of so many tokens, a prompt is read in complete tiles."""
WORTH_WAITING = 32
"""Tokens; a job waits for a beginning that is being decoded if it is longer by so many than one that exists already."""
WORTH_RESTORING = 32
"""Tokens; a stored beginning is restored if it is longer by so many than one in the cache."""
HEADROOM = 64
"""Tokens that an admitted job can certainly generate."""
PINNED = 4
"""Slots that are pinned at once."""
YIELD = 16
"""For each job that a session has already, so many later jobs of other sessions go before its next one."""
LAG = 4
"""While anything else runs, background work is only in one of so many steps; its prompts in half of these."""


def no_guess(job: Job, most: int) -> Sequence[int]:
    return ()


class Scheduler:
    """At most `slots` jobs run at once in a cache of `context` cells. With `whole_only`, it keeps no beginnings."""

    def __init__(self, *, slots: int, context: int, whole_only: bool = False, find: Find = lambda tokens: None) -> None:
        self._pool = Pool(slots=slots, context=context)
        self._whole_only = whole_only
        self._find = find
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._jobs: dict[int, Job] = {}
        self._next_order = self._now = 0
        self._answered = False

    @property
    def waiting(self) -> Sequence[Job]:
        """In the order in which they will be placed."""
        return self._waiting

    @property
    def running(self) -> Sequence[Job]:
        """More urgent jobs first, then in the order in which they came."""
        return self._running

    @property
    def reading(self) -> bool:
        """Whether the prompt of a running job is not completely in the cache yet."""
        return any(job.pending > 1 for job in self._running)

    @property
    def used(self) -> int:
        """Cells of the cache that hold a token, each counted once."""
        return self._pool.used

    def job_of(self, span: Span) -> Job:
        return self._jobs[span.slot]

    def submit(self, job: Job) -> None:
        """Queue this job; its prompt must be shorter than the context."""
        self._next_order += 1
        job.order = self._next_order
        before = sum(other.session == job.session for other in (*self._waiting, *self._running))
        job.position = job.order + YIELD * before
        self._wait(job)

    def _wait(self, job: Job) -> None:
        insort(self._waiting, job, key=lambda waiting: (waiting.rank, waiting.position, waiting.order))

    def end(self, job: Job) -> None:
        """The job has ended or is not wanted any more; what it decoded stays in its slot for the session."""
        if job.slot is None:
            self._waiting.remove(job)
        else:
            self._release(job)

    def pin(self, job: Job) -> None:
        """Keep what the slot of this job holds after its end, as long as there is room for it and newer pinned ones."""
        pinned = sorted((slot for slot in self._pool.slots if slot.pinned), key=lambda slot: slot.pinned)
        for slot in pinned[: max(0, len(pinned) - PINNED + 1)]:
            slot.pinned = 0
        self._slot_of(job).pinned = pinned[-1].pinned + 1 if pinned else 1

    def _release(self, job: Job) -> Slot:
        slot = self._slot_of(job)
        slot.busy, slot.used, job.slot = False, self._now, None
        del self._jobs[slot.number]
        self._running.remove(job)
        return slot

    # --- Placing -----------------------------------------------------------------------------------------------------

    def admit(self) -> Placement | None:
        """Place the next job that can run now; None if there is none. `place` must follow before the next call.

        A job that finds no room displaces the newest less urgent job, which then waits again.
        """
        for job in list(self._waiting):
            if self._follows(job):
                continue
            free = [slot for slot in self._pool.slots if not slot.busy]
            victim = None if free else self._less_urgent(job)
            if not free and victim is None:
                return None
            slot = self._choose(job, free) if victim is None else self._slot_of(victim)
            keep, donor, stored = self._beginning(job, slot)
            if not self._worth_placing(job, keep):
                continue
            if victim is not None:
                self._displace(victim)
            evicted = self._evictions(job, keep, slot, donor, stored)
            while evicted is None and (victim := self._less_urgent(job)) is not None:
                self._displace(victim)
                evicted = self._evictions(job, keep, slot, donor, stored)
            if evicted is None:
                return None
            return Placement(job=job, slot=slot, keep=keep, donor=donor, stored=stored, evicted=evicted)
        return None

    def place(self, placement: Placement, kept: int) -> None:
        """The placement was carried out, and the slot holds the first `kept` tokens of the job now."""
        job, slot, donor, pool = placement.job, placement.slot, placement.donor, self._pool
        if placement.stored is None:
            pool.share(donor or slot, slot, kept)
        else:
            pool.clear(slot)
            pool.add(slot, job.tokens[:kept])
        slot.session, slot.busy, slot.pinned, job.slot = job.session, True, 0, slot
        job.leader = None
        job.cached = kept if job.cached is None else job.cached
        self._waiting.remove(job)
        self._jobs[slot.number] = job
        insort(self._running, job, key=lambda running: (running.rank, running.order))

    def _less_urgent(self, job: Job) -> Job | None:
        """The newest of the least urgent running jobs, if it is less urgent than this one."""
        return self._running[-1] if self._running and self._running[-1].rank > job.rank else None

    def _displace(self, job: Job) -> None:
        self._release(job)
        self._wait(job)

    def _slot_of(self, job: Job) -> Slot:
        assert job.slot is not None
        return job.slot

    def _follows(self, job: Job) -> bool:
        leader = job.leader
        return leader is not None and leader.slot is not None and len(leader.slot.tokens) < job.lead

    def _worth_placing(self, job: Job, keep: int) -> bool:
        """False if it pays to wait, because another job is decoding a much longer common beginning."""
        job.leader = None
        if self._whole_only:
            return True
        for other in self._running:
            if other.pending > 1 and other.rank <= job.rank:
                lead = min(common(other.tokens, job.tokens), len(job.tokens) - 1)
                if lead > keep + WORTH_WAITING:
                    job.leader, job.lead = other, lead
                    return False
        return True

    def _choose(self, job: Job, free: Sequence[Slot]) -> Slot:
        """The session's own slot, else an empty one, else the one used longest ago; a pinned one comes last."""
        return min(free, key=lambda slot: (slot.session != job.session, slot.pinned, bool(slot.tokens), slot.used))

    def _beginning(self, job: Job, slot: Slot) -> tuple[int, Slot | None, Stored | None]:
        """The longest beginning, and where it is if not in `slot`. At least one token is left to decode."""
        keep, donor = self._held(slot, job), None
        for other in self._pool.slots:
            if other is not slot and (held := self._held(other, job)) > keep:
                keep, donor = held, other
        stored = self._find(job.tokens)
        if stored is not None and stored.keep > keep + WORTH_RESTORING:
            return stored.keep, None, stored
        return keep, donor, None

    def _held(self, slot: Slot, job: Job) -> int:
        held = min(common(slot.tokens, job.tokens), len(job.tokens) - 1)
        return held if not self._whole_only or held == len(slot.tokens) else 0

    def _evictions(
        self, job: Job, keep: int, slot: Slot, donor: Slot | None, stored: Stored | None
    ) -> tuple[Left, ...] | None:
        """Clear idle slots until there is room, the longest unused first; None if even that is not enough."""
        pool = self._pool
        need = len(job.tokens) - keep + min(job.remaining, HEADROOM)
        need += sum(other.pending + min(other.remaining, HEADROOM) for other in self._running)
        spared = slot.cells if donor is None else donor.cells
        if stored is not None:
            need, spared = need + stored.length, []
        room = pool.context - pool.held_by_busy(spared[:keep])
        if need > room and self._running:
            return None
        evicted: list[Left] = []
        for other in pool.idle():
            if pool.used + need <= pool.context:
                break
            if other is not slot and other is not donor:
                evicted.append(pool.clear(other))
        return tuple(evicted)

    # --- A step ------------------------------------------------------------------------------------------------------

    def plan(self, *, longest: int, lone: int, guess: Guess = no_guess, guesses: int = 0) -> list[Span]:
        """The next batch: up to `longest` tokens of prompts, or `lone` if answers wait for a single prompt.

        It has at least a tile of a prompt. Answers and prompts take turns, because together each would cost more. While
        several prompts are read, the answers pause longer, because their steps of few tokens cost the most. The jobs
        that generate may add `guesses` guessed tokens altogether.
        """
        self._now += 1
        answers: list[Job] = []
        prompts: list[Job] = []
        for job in self._in_this_step():
            (prompts if job.pending > 1 else answers).append(job)
        if answers and prompts:
            self._answered = not self._answered
            if not self._answered:
                several = sum(job.priority != "background" for job in prompts) > 1
                return self._prompts(prompts, longest if several else lone)
        return self._answers(answers, guess, guesses) if answers else self._prompts(prompts, longest)

    def _in_this_step(self) -> list[Job]:
        """All running jobs, except that background work beside other jobs is not in every step."""
        others = [job for job in self._running if job.priority != "background"]
        # This is an even step, then an odd one, so that background work gets both steps with answers and with prompts.
        its_turn = self._now % LAG == self._now // LAG % 2
        return self._running if its_turn or not others else others

    def _answers(self, jobs: Sequence[Job], guess: Guess, guesses: int) -> list[Span]:
        spans: list[Span] = []
        for job in jobs:
            spans.append(self._next(job, guess, guesses))
            guesses -= spans[-1].guessed
        return spans

    def _next(self, job: Job, guess: Guess, guesses: int) -> Span:
        slot = self._slot_of(job)
        start = len(slot.tokens)
        most = min(guesses, job.remaining - 1, self._pool.context - start - 2)
        guessed = guess(job, most) if most > 0 else ()
        return Span(slot=slot.number, start=start, tokens=[job.tokens[-1], *guessed], last=True, guessed=len(guessed))

    def _prompts(self, jobs: Sequence[Job], most: int) -> list[Span]:
        room = max(TILE, most // TILE * TILE)
        spans: list[Span] = []
        for job in jobs:
            spans.append(self._prompt(job, room))
            room -= len(spans[-1].tokens)
            if room <= 0 or not spans[-1].last:
                break
        return spans

    def _prompt(self, job: Job, most: int) -> Span:
        """The next part of a prompt. After a long beginning, it ends at the end of a tile if there is room for that."""
        slot = self._slot_of(job)
        start, left = len(slot.tokens), job.pending
        size = min(left, most)
        if start >= LONG and left > most >= TILE:
            odd = left % TILE
            size = most // TILE * TILE - (TILE - odd if odd else 0)
        end = min([start + size, *(checkpoint for checkpoint in job.checkpoints if checkpoint > start)])
        return Span(slot=slot.number, start=start, tokens=job.tokens[start:end], last=end == len(job.tokens))

    def decoded(self, spans: Sequence[Span]) -> None:
        """The batch is in the cache now."""
        for span in spans:
            self._pool.add(self._pool.slots[span.slot], span.tokens)

    def sampled(self, job: Job, token: int) -> bool:
        """The job goes on with this token; False if it may have no more."""
        job.tokens.append(token)
        job.remaining -= 1
        return job.remaining > 0 and len(job.tokens) < self._pool.context

    def settle(self, span: Span, tokens: Sequence[int]) -> int | None:
        """Compare the guesses of a span with the job; the length to cut its slot to, None if all were right."""
        slot = self._pool.slots[span.slot]
        right = common(slot.tokens[span.start :], tokens[span.start :])
        if span.start + right == len(slot.tokens):
            return None
        self._pool.cut(slot, span.start + right)
        return span.start + right

    def make_room(self) -> Left | None:
        """The cache is full: clear an idle slot, or else that of the newest job, which waits again.

        None if a single job has the whole cache.
        """
        idle = self._pool.idle()
        if idle:
            return self._pool.clear(idle[0])
        if len(self._running) < 2:
            return None
        job = self._running[-1]
        slot = self._release(job)
        self._wait(job)
        return self._pool.clear(slot)

    def forget(self, slot: int) -> None:
        """The sequence of this slot was cleared in the cache."""
        self._pool.clear(self._pool.slots[slot])
