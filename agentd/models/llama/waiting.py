"""What the requests that wait are told: their position in the queue, and how far their prompt is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.models.llama.job import Job
from agentd.models.llama.pace import Speeds
from agentd.models.llama.wire import FromChild, Progress, Queued, Started

PAUSE = 0.25
"""Seconds between two messages about a prompt, and before the first."""
WORTH_TELLING = 1.0
"""Seconds: what will take longer is announced before it begins."""


@dataclass(slots=True)
class _Prompt:
    """`total` tokens are to be read, since `begun`. `sent` is the time of the last message, or when it was placed."""

    total: int
    sent: float
    begun: float | None = None
    announced: bool = False


class Waiting:
    """Passes its messages to `send`. `speeds` tells how long a prompt will take while nothing of it is read."""

    def __init__(self, send: Callable[[FromChild], None], speeds: Speeds, clock: Callable[[], float]) -> None:
        self._send, self._speeds, self._clock = send, speeds, clock
        self._positions: dict[int, int] = {}
        self._unread: dict[int, bool] = {}
        """Requests that were placed and of whose prompts nothing was read yet, and whether they were told so."""
        self._prompts: dict[int, _Prompt] = {}

    def queued(self, jobs: Sequence[Job]) -> None:
        """These jobs wait for a sequence, in this order."""
        for position, job in enumerate(jobs, start=1):
            if self._positions.get(job.id) != position:
                self._positions[job.id] = position
                self._send(Queued(id=job.id, position=position))

    def placed(self, job: Job, running: Sequence[Job]) -> None:
        """A job has a sequence; the prompts of the `running` jobs before it are read first."""
        self._positions.pop(job.id, None)
        self._unread[job.id] = False
        if job.pending < 2:  # it waits for no other prompt
            return
        prompt = _Prompt(total=job.pending, sent=self._clock())
        self._prompts[job.id] = prompt
        ahead = sum(other.pending for other in running[: running.index(job)] if other.pending > 1)
        speed = self._speeds.pace.read
        if speed and (seconds := (prompt.total + ahead) / speed) > WORTH_TELLING:
            self._tell(job.id, prompt, 0, seconds)

    def read(self, jobs: Sequence[Job], since: float) -> None:
        """A step that began at `since` has computed for these jobs."""
        if self._unread:
            self._tell_started({job.id for job in jobs})
        if self._prompts:
            for job in jobs:
                self._tell_progress(job, since)

    def ended(self, number: int) -> None:
        """Nobody wants to know any more; harmless if the request is not known."""
        for known in (self._positions, self._unread, self._prompts):
            known.pop(number, None)

    def _tell_started(self, read: set[int]) -> None:
        """The time to the first token can be judged only once the prompt is being read."""
        for number, told in list(self._unread.items()):
            if number in read:
                del self._unread[number]
                self._send(Started(id=number, reading=True))
            elif not told:
                self._unread[number] = True
                self._send(Started(id=number, reading=False))

    def _tell_progress(self, job: Job, since: float) -> None:
        prompt = self._prompts.get(job.id)
        if prompt is None:
            return
        now = self._clock()
        prompt.begun = since if prompt.begun is None else prompt.begun
        done = prompt.total - job.pending
        if job.pending == 0:
            del self._prompts[job.id]
            if prompt.announced:
                self._tell(job.id, prompt, done, 0.0)
        elif now - prompt.sent >= PAUSE and done > 0:
            self._tell(job.id, prompt, done, (now - prompt.begun) / done * job.pending)

    def _tell(self, number: int, prompt: _Prompt, done: int, seconds: float) -> None:
        prompt.sent, prompt.announced = self._clock(), True
        self._send(Progress(id=number, done=done, total=prompt.total, seconds=round(seconds, 2)))
