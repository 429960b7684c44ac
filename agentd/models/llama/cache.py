"""Carries out what the scheduler decides about llama.cpp's cache, and stores in memory what has to leave it.

If a model has full or sliding-window attention, a sequence is stored when its slot is needed for another session. The
sequence of a recurrent or hybrid model can only be kept, copied or restored as a whole, so it is stored while its
prompt is read, at the checkpoints of the job.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Placement, Span, Stored
from agentd.models.llama.pool import Left
from agentd.models.llama.scheduler import Scheduler
from agentd.models.llama.spill import Spill, State

log = logging.getLogger(__name__)

WORTH_STORING = 128
"""Tokens; a shorter history is read again as fast as it is stored."""


class Cache:
    def __init__(self, driver: Driver, scheduler: Scheduler, spill: Spill) -> None:
        self._driver = driver
        self._scheduler = scheduler
        self._spill = spill

    def place(self, placement: Placement) -> None:
        """Make the slot begin as the scheduler decided, as far as llama.cpp can, and tell the scheduler the result."""
        slot, kept = placement.slot, placement.keep
        stored, state = placement.stored, None if placement.stored is None else self._spill.take(placement.stored)
        for left in placement.evicted:
            self._push_out(left)
        stays = placement.donor is None and stored is None
        if slot.session != placement.job.session and len(slot.tokens) - kept * stays >= WORTH_STORING:
            self._store(slot.number, slot.session, slot.tokens)
        if stored is not None and state is not None:
            kept = self._restore(slot.number, stored, state)
        elif placement.donor is not None:
            self._driver.clear(slot.number)
            self._driver.copy(placement.donor.number, slot.number, kept)
        elif kept < len(slot.tokens):
            kept = self._shorten(slot.number, kept)
        self._scheduler.place(placement, kept)

    def keep_outside(self, session: str, tokens: Sequence[int], state: State) -> bool:
        """Keep a state of these tokens for a job that begins with them; False if there is no room for it."""
        self._spill.put(session, tokens, state)
        return self._spill.holds(tokens)

    def make_room(self) -> bool:
        """The cache is full: clear something; False if there is nothing to clear."""
        left = self._scheduler.make_room()
        if left is not None:
            self._push_out(left)
        return left is not None

    def forget(self, slot: int) -> None:
        self._driver.clear(slot)
        self._scheduler.forget(slot)

    def settle(self, span: Span, tokens: Sequence[int]) -> None:
        """Remove wrong guesses from the cache."""
        length = self._scheduler.settle(span, tokens)
        if length is not None and not self._driver.keep(span.slot, length):
            raise RuntimeError("llama.cpp does not remove wrong guesses from its cache")

    def store_checkpoints(self, spans: Sequence[Span]) -> None:
        """After a batch: store the sequences that have reached a checkpoint of their job."""
        if not self._driver.whole_only:
            return
        for span in spans:
            job = self._scheduler.job_of(span)
            end = span.start + len(span.tokens)
            if end in job.checkpoints and not self._spill.holds(job.tokens[:end]):
                self._store(span.slot, job.session, job.tokens[:end])

    def _push_out(self, left: Left) -> None:
        self._store(left.slot, left.session, left.tokens)
        self._driver.clear(left.slot)

    def _shorten(self, slot: int, length: int) -> int:
        if length and self._driver.keep(slot, length):
            return length
        self._driver.clear(slot)
        return 0

    def _restore(self, slot: int, stored: Stored, state: State) -> int:
        self._driver.clear(slot)
        if not self._driver.restore(slot, state):
            log.warning("llama.cpp did not restore %d tokens of a conversation", stored.length)
            self._driver.clear(slot)
            return 0
        return stored.keep if stored.keep == stored.length else self._shorten(slot, stored.keep)

    def _store(self, slot: int, session: str, tokens: Sequence[int]) -> None:
        if len(tokens) >= WORTH_STORING and self._spill.room_for(self._driver.state_size(slot)):
            self._spill.put(session, tokens, self._driver.state(slot))
