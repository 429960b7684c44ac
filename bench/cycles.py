"""Three ways to take a question and deliver its answer: agentd, a simple bus, and bare syncs.

A cycle is one question of 1 KiB and its answer of 1 KiB. Each way runs cycles in many sessions at once, on a disk whose
syncs take `delay` seconds longer, and records when each cycle ended and how long it took.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.events import InboundEvent, OutboundEvent, encode
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.records import OWNER, Address, Sender
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from bench.disk import SlowFiles, fresh_directory

QUESTION, ANSWER = "q" * 1024, "a" * 1024
THREADS = 48
"""As many threads as the daemon uses (`pending.threads`), and as many for the bare syncs."""


@dataclass(slots=True)
class Ran:
    """The result of one run; latencies in seconds."""

    per_second: float = 0.0
    latencies: list[float] = field(default_factory=list)
    syncs_per_cycle: float = 0.0
    commits_per_cycle: float = 0.0


class Stopwatch:
    """Counts cycles in a window of `seconds`, after a quarter of that time to get going.

    Sessions that run in step end their cycles in bursts, so it counts how far all of them came together.
    """

    def __init__(self, seconds: float) -> None:
        self._begin = time.perf_counter() + seconds / 4
        self._end = self._begin + seconds
        self._seconds = seconds
        self._cycles = 0.0
        self.latencies: list[float] = []

    @property
    def running(self) -> bool:
        return time.perf_counter() < self._end

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return max(0.0, self._end - time.perf_counter())

    def advance(self, part: float) -> None:
        """Count this part of a cycle."""
        if self._begin <= time.perf_counter() < self._end:
            self._cycles += part

    def lap(self, began: float) -> None:
        """Record a cycle that began at this time and ends now."""
        now = time.perf_counter()
        if self._begin <= now < self._end:
            self.latencies.append(now - began)

    @property
    def per_second(self) -> float:
        return self._cycles / self._seconds


class Questions:
    """Makes the events of cycles."""

    def __init__(self) -> None:
        self.ids = IdSource()
        self.clock = SystemClock()

    def ask(self, session_id: str) -> InboundEvent:
        turn_id = self.ids.next()
        return InboundEvent(
            id=turn_id,
            time=self.clock.now(),
            turn_id=turn_id,
            session_id=session_id,
            principal=OWNER,
            address=Address(channel="bench", account="local", chat=session_id),
            sender=Sender(id="1"),
            message_id=turn_id,
            dedupe_key=turn_id,
            content_digest="0" * 32,
            text=QUESTION,
        )

    def answer(self, asked: InboundEvent) -> OutboundEvent:
        return OutboundEvent(
            id=self.ids.next(),
            time=self.clock.now(),
            turn_id=asked.turn_id,
            session_id=asked.session_id,
            principal=asked.principal,
            address=asked.address,
            answers=(asked.turn_id,),
            in_reply_to=asked.message_id,
            outcome="answer",
            text=ANSWER,
        )


async def in_sessions(sessions: Sequence[str], cycle: Callable[[str], Awaitable[None]], watch: Stopwatch) -> None:
    """Run one cycle after the other in each session until the time is over."""

    async def follow(session_id: str) -> None:
        while watch.running:
            began = time.perf_counter()
            await cycle(session_id)
            watch.lap(began)

    await asyncio.gather(*(follow(session_id) for session_id in sessions))


# --- ours ------------------------------------------------------------------------------------------------------------


async def ours(place: Path, concurrent: int, seconds: float, delay: float) -> Ran:
    """agentd: publish (accept) → transaction → publish (answer) → ack, with the parts of the daemon."""
    questions = Questions()
    state, disk, commits = fresh_directory(place), SlowFiles(delay), SlowFiles(delay)
    async with (
        PendingDirectory(state, disk, clock=questions.clock, threads=THREADS) as pending,
        Store(state / "agentd.db", load_migrations("agentd.storage"), on_commit=commits.wait) as store,
    ):
        conversations, bus = Sessions(store, questions.ids, questions.clock), EventBus(pending)
        turns = TurnRecords(store, questions.clock)
        sessions = [
            info.id for info in await asyncio.gather(*(conversations.open(OWNER, None) for _ in range(concurrent)))
        ]

        async def cycle(session_id: str) -> None:
            asked = questions.ask(session_id)
            await bus.publish(asked)
            watch.advance(0.25)
            outbound = questions.answer(asked)
            await turns.finish([asked], outbound)
            watch.advance(0.25)
            await bus.publish(outbound)
            watch.advance(0.25)
            await pending.ack(asked.turn_id)
            watch.advance(0.25)
            ended.append(asked.turn_id)

        ended: list[str] = []
        disk.syncs = commits.syncs = 0
        watch = Stopwatch(seconds)
        await in_sessions(sessions, cycle, watch)
        ran = Ran(per_second=watch.per_second, latencies=watch.latencies)
        ran.syncs_per_cycle, ran.commits_per_cycle = disk.syncs / len(ended), commits.syncs / len(ended)
        return ran


# --- a simple bus ----------------------------------------------------------------------------------------


class NaiveBus:
    """One consumer: writes, syncs and renames a file for each event, then awaits the subscribers one by one."""

    def __init__(self, directory: Path, files: SlowFiles) -> None:
        self._directory = directory
        self._files = files
        self._queue: asyncio.Queue[InboundEvent | OutboundEvent] = asyncio.Queue()
        self.persisted: Callable[[], None] = lambda: None
        self.subscribers: list[Callable[[InboundEvent | OutboundEvent], Awaitable[None]]] = []

    def publish(self, event: InboundEvent | OutboundEvent) -> None:
        self._queue.put_nowait(event)

    async def run(self) -> None:
        while True:
            event = await self._queue.get()
            self._persist(event)
            self.persisted()
            for subscriber in self.subscribers:
                await subscriber(event)

    def _persist(self, event: InboundEvent | OutboundEvent) -> None:
        path = str(self._directory / f"{event.id}.json")
        fd = self._files.create(f"{path}.tmp")
        try:
            self._files.write(fd, encode(event))
            self._files.sync(fd)
        finally:
            self._files.close(fd)
        self._files.rename(f"{path}.tmp", path)


async def naive(place: Path, concurrent: int, seconds: float, delay: float) -> Ran:
    """The same questions and answers over a simple bus, without database, directory syncs and acks."""
    questions = Questions()
    ended: dict[str, asyncio.Future[None]] = {}
    bus = NaiveBus(fresh_directory(place), SlowFiles(delay))

    async def agent(event: InboundEvent | OutboundEvent) -> None:
        if isinstance(event, InboundEvent):
            bus.publish(questions.answer(event))

    async def channel(event: InboundEvent | OutboundEvent) -> None:
        if isinstance(event, OutboundEvent):
            ended.pop(event.turn_id).set_result(None)

    async def cycle(session_id: str) -> None:
        asked = questions.ask(session_id)
        done = ended[asked.turn_id] = asyncio.get_running_loop().create_future()
        bus.publish(asked)
        await done

    bus.subscribers += [agent, channel]
    consumer = asyncio.create_task(bus.run(), name="naive bus")
    watch = Stopwatch(seconds)
    bus.persisted = lambda: watch.advance(0.5)
    async with (
        _cancelled(consumer),
        _cancelled(
            asyncio.create_task(in_sessions([f"s{n}" for n in range(concurrent)], cycle, watch), name="naive sessions")
        ),
    ):
        await asyncio.sleep(watch.left)
    return Ran(per_second=watch.per_second, latencies=watch.latencies)


@asynccontextmanager
async def _cancelled(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """Cancel the task at the end of the block, with everything that still waits in its long queue."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


# --- bare syncs ------------------------------------------------------------------------------------------------------


def sizes(questions: Questions) -> tuple[int, ...]:
    """The bytes before each sync of a cycle in the pending directory; the sync of a directory counts as one byte."""
    asked = questions.ask("0" * 25)
    return (len(encode(asked)), 1, len(encode(questions.answer(asked))), 1, 1)


def raw(place: Path, concurrent: int, seconds: float, delay: float, commits_per_cycle: float) -> Ran:
    """The same number of syncs of the same bytes in a thread pool, each thread in a file of its own; nothing else."""
    plan = sizes(Questions())
    watch = Stopwatch(seconds)
    counter, lock = itertools.count(1), threading.Lock()
    committed = 0.0

    def syncs() -> tuple[int, ...]:
        nonlocal committed
        with lock:
            committed += commits_per_cycle
            due = committed >= 1.0
            committed -= due
        return (*plan, int(sum(plan) / min(1.0, commits_per_cycle))) if due else plan

    def work(directory: Path) -> None:
        with BareFile(directory / f"{next(counter)}", SlowFiles(delay)) as file:
            while watch.running:
                began = time.perf_counter()
                for size in syncs():
                    file.sync(size)
                with lock:
                    watch.advance(1.0)
                    watch.lap(began)

    directory = fresh_directory(place)
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, directory) for _ in range(min(concurrent, THREADS))]:
            done.result()
    return Ran(per_second=watch.per_second, latencies=watch.latencies)


class BareFile:
    """One open file that is written at its end and synced."""

    def __init__(self, path: Path, files: SlowFiles) -> None:
        self._files = files
        self._fd = files.create(str(path))

    def __enter__(self) -> BareFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def sync(self, size: int) -> None:
        self._files.write(self._fd, b"x" * size)
        self._files.sync(self._fd)
