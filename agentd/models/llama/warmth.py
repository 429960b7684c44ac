"""Beginnings of prompts that never change: read while there is nothing else to do, kept in the cache and on disk."""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from agentd.models.llama.decoder import Decoder
from agentd.models.llama.job import Job
from agentd.models.llama.kept import Kept
from agentd.models.llama.wire import Warmed

WORTH_SAVING = 0.25
"""Seconds; a beginning that is read faster is not worth a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """The beginning that the request `number` wants to be read."""

    number: int
    tokens: tuple[int, ...]

    @property
    def session(self) -> str:
        """The same for the same tokens, so that what was read is found again."""
        return f"warm {hashlib.sha256(array('i', self.tokens).tobytes()).hexdigest()[:16]}"


class Warmth:
    """Call `step` while it is `busy` and no request runs; call `pause` before a request begins."""

    def __init__(self, decoder: Decoder, kept: Kept) -> None:
        self._driver, self._scheduler, self._cache = decoder.driver, decoder.scheduler, decoder.cache
        self._snapshots, self._speeds = kept.snapshots, kept.speeds
        self._wanted: deque[_Beginning] = deque()
        self._job: Job | None = None
        self._saved: set[str] = set()
        """Sessions whose states are on disk or came from there."""

    @property
    def busy(self) -> bool:
        return bool(self._wanted)

    def want(self, number: int, tokens: Sequence[int]) -> None:
        self._wanted.append(_Beginning(number=number, tokens=tuple(tokens)))

    def cancel(self, number: int) -> None:
        """Nobody waits for this beginning any more; harmless if the request is not known."""
        if self._wanted and self._wanted[0].number == number:
            self.pause()
        self._wanted = deque(wanted for wanted in self._wanted if wanted.number != number)

    def pause(self) -> None:
        """Stop for a request; what was read stays in the cache."""
        if self._job is not None:
            self._scheduler.end(self._job)
            self._job = None

    def step(self, most: int) -> Warmed | None:
        """Read about `most` tokens. Once a beginning is read, the message about it; 0 tokens if it cannot be read."""
        wanted = self._wanted[0]
        if self._job is None:
            if self._restored(wanted) and self._driver.whole_only:
                return self._done(wanted, len(wanted.tokens))
            self._job = self._begin(wanted)
        while (placement := self._scheduler.admit()) is not None:
            self._cache.place(placement)
        spans = self._scheduler.plan(longest=most, lone=most)
        if not spans or self._driver.decode(spans) != "done":
            self.pause()
            return self._done(wanted, 0)
        self._scheduler.decoded(spans)
        self._cache.store_checkpoints(spans)
        return self._end(wanted, self._job) if spans[-1].last else None

    def _begin(self, wanted: _Beginning) -> Job:
        tokens = list(wanted.tokens)
        job = Job(
            id=wanted.number,
            session=wanted.session,
            tokens=tokens,
            remaining=0,
            priority="background",
            checkpoints=(len(tokens),) if self._driver.whole_only else (),
        )
        self._scheduler.submit(job)
        return job

    def _restored(self, wanted: _Beginning) -> bool:
        """Whether its state was on disk; then a job finds it outside the cache now."""
        if wanted.session in self._saved or (state := self._snapshots.find(wanted.tokens)) is None:
            return False
        self._saved.add(wanted.session)
        return self._cache.keep_outside(wanted.session, wanted.tokens, state)

    def _end(self, wanted: _Beginning, job: Job) -> Warmed:
        assert job.slot is not None
        speed = self._speeds.pace.read
        if wanted.session not in self._saved and speed and len(wanted.tokens) / speed >= WORTH_SAVING:
            self._snapshots.put(wanted.tokens, self._driver.state(job.slot.number))
            self._saved.add(wanted.session)
        self._scheduler.pin(job)
        self.pause()
        return self._done(wanted, len(wanted.tokens))

    def _done(self, wanted: _Beginning, tokens: int) -> Warmed:
        self._wanted.popleft()
        return Warmed(id=wanted.number, tokens=tokens)
