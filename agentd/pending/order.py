"""The order of the moves: those of one turn follow each other, those of different turns run in parallel in threads.

On the event loop, a move is two short functions, before and after the work of the thread; a task for each move would
cost more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from agentd.errors import AgentdError
from agentd.host.files import explain
from agentd.pending.threads import Threads
from agentd.ports.work import Ended

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False, kw_only=True)
class Move:
    """A move of the turns `names`; if it cannot be written, `failure` is raised with the text `told`.

    `prepare` runs when the earlier moves of these turns have ended, and returns the work for a thread, or None if there
    is nothing to do; it raises if the move cannot be made. `apply` runs when the work is on the disk.
    """

    what: str
    names: tuple[str, ...]
    failure: type[AgentdError]
    told: str
    prepare: Callable[[], Callable[[], object] | None]
    apply: Callable[[], None]
    ended: Ended = lambda error: None
    before: int = 0
    """How many earlier moves it waits for."""
    after: list[Move] = field(default_factory=list)


class MoveOrder:
    """Use it on one event loop; it calls `wrote` there after each piece of work."""

    def __init__(self, threads: Threads, wrote: Callable[[], None]) -> None:
        self._threads = threads
        self._wrote = wrote
        self._last: dict[str, Move] = {}
        """Name -> the newest move that concerns it."""
        self._unended: set[Move] = set()
        self._empty = asyncio.Event()

    async def make(self, move: Move) -> None:
        """Make the move; returns when it has ended, raises if it failed. Cancelling the caller does not stop it."""
        done = asyncio.get_running_loop().create_future()

        def ended(error: BaseException | None) -> None:
            if done.done():
                if error is not None:
                    log.debug("%s %s failed, and nobody waits for it: %s", move.what, move.names[0], error)
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.begin(move, ended)
        await done

    def begin(self, move: Move, ended: Ended) -> None:
        """Start the move, which ends by itself; `ended` may be called before this returns."""
        move.ended = ended
        for name in dict.fromkeys(move.names):
            earlier = self._last.get(name)
            if earlier is not None:
                earlier.after.append(move)
                move.before += 1
            self._last[name] = move
        self._unended.add(move)
        if not move.before:
            self._start(move)

    async def settled(self, seconds: float) -> list[str]:
        """Wait until no move is under way; returns the moves that have not ended after this many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._unended:
                    self._empty.clear()
                    await self._empty.wait()
        return [f"{move.what} {move.names[0]}" for move in self._unended]

    def _start(self, move: Move) -> None:
        try:
            work = move.prepare()
            if work is not None:
                self._threads.start(work, partial(self._worked, move))
                return
        # The caller gets it.
        except Exception as error:
            self._end(move, error)
        else:
            self._end(move, None)

    def _worked(self, move: Move, value: object, error: BaseException | None) -> None:
        if error is None:
            try:
                move.apply()
            # The caller gets it.
            except Exception as bug:
                error = bug
        elif isinstance(error, OSError | ValueError):
            why = explain(error) if isinstance(error, OSError) else f"its text is not valid Unicode ({error})"
            failure = move.failure(f"{move.told}: {why}.")
            failure.__cause__, error = error, failure
        self._end(move, error)
        self._wrote()

    def _end(self, move: Move, error: BaseException | None) -> None:
        self._unended.discard(move)
        for name in move.names:
            if self._last.get(name) is move:
                del self._last[name]
        # Not at once: a long row of moves that cannot be made would nest too deeply.
        for later in move.after:
            later.before -= 1
            if not later.before:
                asyncio.get_running_loop().call_soon(self._start, later)
        if not self._unended:
            self._empty.set()
        try:
            move.ended(error)
        except Exception:
            log.exception("the callback for %s %s failed", move.what, move.names[0])
