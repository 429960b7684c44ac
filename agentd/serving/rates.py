"""How often something may be asked: a bucket for each token and each session, which fills at a steady rate."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from agentd.errors import TooOften
from agentd.ports.channels import Caller

BURST_SECONDS = 10.0
"""What is not used of so many seconds may be used at once."""
REMEMBERED = 10_000
"""Buckets that are kept; those that were not used for longest are full again anyway."""


class Rate:
    """`per_minute` things of each kind that has a name of its own; 0 is as many as come."""

    def __init__(self, per_minute: float = 0, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_SECONDS)
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By its name, how much a bucket held, and when."""

    def take(self, name: str) -> float:
        """One more of this name: 0, or after how many seconds there is room for it."""
        if not self._per_second:
            return 0.0
        now = self._now()
        held, then = self._buckets.get(name, (self._most, now))
        held = min(self._most, held + (now - then) * self._per_second)
        if held < 1:
            return (1 - held) / self._per_second
        self._buckets[name] = (held - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0


class Rates:
    """`requests` of each token, and `questions` of each session."""

    def __init__(self, requests: Rate | None = None, questions: Rate | None = None) -> None:
        self._requests = requests or Rate()
        self._questions = questions or Rate()

    def check_request(self, caller: Caller) -> None:
        """`TooOften` if the token of this caller has asked too often."""
        principal = caller.principal
        if seconds := self._requests.take(caller.token or f"{principal.kind} {principal.id}"):
            raise TooOften("you ask too often with this token; wait a little.", seconds=seconds)

    def check_question(self, session_id: str) -> None:
        """`TooOften` if too much was asked in this session."""
        if seconds := self._questions.take(session_id):
            raise TooOften("too much is asked in this conversation; wait a little.", seconds=seconds)
