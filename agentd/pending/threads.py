"""Threads for many small pieces of blocking work; pieces that end together wake the event loop once.

`loop.run_in_executor` needs a future and a wake-up for each piece, which costs as much as the work itself if that takes
some hundred microseconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, ParamSpec, TypeVar, cast

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Job(Generic[R]):
    work: Callable[[], R]
    ended: Callable[[R | None, BaseException | None], None]
    value: R | None = None
    error: BaseException | None = None


def _wait_politely() -> None:
    """When its sync ends, this thread no longer takes a processor away from a running one (sched(7), SCHED_BATCH).

    If dozens of threads take the processor away, only to wait for the interpreter's lock, the same work needs one and a
    half times as many switches.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # some containers forbid it, and only speed depends on it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Threads:
    """At most `count` threads, started as they are needed; use it from one event loop.

    Work that has begun is finished, even if its caller is cancelled or the threads are closed.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._ended: deque[_Job[Any]] = deque()
        self._threads: list[Thread] = []
        self._unended = 0
        self._waking = False
        self._closed = False

    async def run(self, work: Callable[[], R]) -> R:
        """Run `work` in a thread and return or raise what it does; RuntimeError after `close`."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def ended(value: R | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(cast(R, value))
            else:
                done.set_exception(error)

        self.start(work, ended)
        return await done

    def start(self, work: Callable[[], R], ended: Callable[[R | None, BaseException | None], None]) -> None:
        """Run `work` in a thread, then call `ended` on this event loop with what it returned or raised.

        RuntimeError after `close`, or if not even one thread can be started.
        """
        if self._closed:
            raise RuntimeError(f"the {self._name} threads are closed")
        if len(self._threads) < min(self._unended + 1, self._count):
            self._start_thread()
        self._unended += 1
        self._jobs.put(_Job(work, ended))

    def _start_thread(self) -> None:
        loop = asyncio.get_running_loop()
        thread = Thread(target=self._serve, args=(loop,), name=f"{self._name} {len(self._threads)}")
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise
            log.warning("%s: cannot start another thread (%s); going on with %d", self._name, error, len(self._threads))
        else:
            self._threads.append(thread)

    def close(self) -> None:
        """Let every thread end after the work that it already has; this does not wait for them."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        _wait_politely()
        while (job := self._jobs.get()) is not None:
            try:
                job.value = job.work()
            # The caller gets it.
            except BaseException as error:
                # A future cannot carry a StopIteration: its caller would wait forever.
                job.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            self._ended.append(job)
            del job
            # Append first: the code that clears the flag looks at the queue afterwards.
            if not self._waking:
                self._waking = True
                try:
                    loop.call_soon_threadsafe(self._tell)
                except RuntimeError:
                    log.debug("%s: the event loop is closed, so the result of a piece of work is lost", self._name)

    def _tell(self) -> None:
        self._waking = False
        while self._ended:
            job = self._ended.popleft()
            self._unended -= 1
            try:
                job.ended(job.value, job.error)
            except Exception:
                log.exception("%s: the callback for the result of a piece of work failed", self._name)
