"""Threads for many small pieces of blocking work: what ends together wakes the event loop once.

For work of some hundred microseconds, the futures and the wake-up for each piece of `loop.run_in_executor` cost as much
as the work itself.
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
    """This thread no longer pushes others off their processor when its sync has ended (sched(7), SCHED_BATCH).

    Some dozens that do, only to wait for the interpreter's lock, take half as many switches again for the same work.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # not allowed in some containers, and nothing but speed
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Threads:
    """At most `count` threads, started when they are needed; used from one event loop.

    Work that has begun is finished, also when its caller is cancelled or the threads are closed.
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
        """What `work` returns or raises in a thread; RuntimeError after `close`."""
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
        """`ended` is called on this event loop with what `work` returned, or with what it raised.

        RuntimeError after `close`, and where not even one thread can be started.
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
            log.warning("%s: no further thread can be started (%s); %d go on", self._name, error, len(self._threads))
        else:
            self._threads.append(thread)

    def close(self) -> None:
        """Every thread ends after the work that it has, which nobody waits for here."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        _wait_politely()
        while (job := self._jobs.get()) is not None:
            try:
                job.value = job.work()
            # Told to who asked for it.
            except BaseException as error:
                # A future cannot carry a StopIteration: its caller would wait for ever.
                job.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            self._ended.append(job)
            del job
            # Appended first: whoever clears the flag looks at the queue after that.
            if not self._waking:
                self._waking = True
                try:
                    loop.call_soon_threadsafe(self._tell)
                except RuntimeError:
                    log.debug("%s: the event loop is closed; nobody is told any more", self._name)

    def _tell(self) -> None:
        self._waking = False
        while self._ended:
            job = self._ended.popleft()
            self._unended -= 1
            try:
                job.ended(job.value, job.error)
            except Exception:
                log.exception("%s: what came of a piece of work was not taken", self._name)
