"""How far the prompts of the running requests are read, told a few times a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.models.llama.job import Job
from agentd.models.llama.pace import Speeds
from agentd.models.llama.wire import FromChild, Progress

PAUSE = 0.25
"""Seconds between two messages of a request, and before its first."""
WORTH_TELLING = 1.0
"""Seconds: what will take longer is told before it begins."""


@dataclass(slots=True)
class _Prompt:
    """`total` tokens are to be read, since `begun`; `told` is when that was said last, or when it was placed."""

    total: int
    told: float
    begun: float | None = None
    spoken: bool = False


class Readings:
    """Messages go to `send`, times come from `clock`, and what nothing of was read is judged by `speeds`."""

    def __init__(self, send: Callable[[FromChild], None], speeds: Speeds, clock: Callable[[], float]) -> None:
        self._send, self._speeds, self._clock = send, speeds, clock
        self._prompts: dict[int, _Prompt] = {}

    def placed(self, job: Job, running: Sequence[Job]) -> None:
        """A job was placed; before its prompt is read those of the `running` jobs before it are."""
        if job.pending < 2:  # it waits for nobody's prompt
            return
        prompt = _Prompt(total=job.pending, told=self._clock())
        self._prompts[job.id] = prompt
        ahead = sum(other.pending for other in running[: running.index(job)] if other.pending > 1)
        speed = self._speeds.pace.read
        if speed and (seconds := (prompt.total + ahead) / speed) > WORTH_TELLING:
            self._tell(job.id, prompt, 0, seconds)

    def read(self, job: Job, since: float) -> None:
        """A part of its prompt was read in a step that began at `since`."""
        prompt = self._prompts.get(job.id)
        if prompt is None:
            return
        now = self._clock()
        prompt.begun = since if prompt.begun is None else prompt.begun
        done = prompt.total - job.pending
        if job.pending == 0:
            del self._prompts[job.id]
            if prompt.spoken:
                self._tell(job.id, prompt, done, 0.0)
        elif now - prompt.told >= PAUSE and done > 0:
            self._tell(job.id, prompt, done, (now - prompt.begun) / done * job.pending)

    def ended(self, number: int) -> None:
        self._prompts.pop(number, None)

    def _tell(self, number: int, prompt: _Prompt, done: int, seconds: float) -> None:
        prompt.told, prompt.spoken = self._clock(), True
        self._send(Progress(id=number, done=done, total=prompt.total, seconds=round(seconds, 2)))
