"""What a turn took: the tokens of its requests and the seconds, added up while it runs."""

from __future__ import annotations

from agentd.ports.clock import Clock
from agentd.ports.generation import Usage
from agentd.records import TurnUsage


class Account:
    """Begins with the turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._first_text = 0.0
        self._usages: list[Usage] = []

    def add(self, usage: Usage) -> None:
        self._usages.append(usage)

    def spoke(self) -> None:
        """A piece of the answer was shown; only the first one counts."""
        self._first_text = self._first_text or self._clock.monotonic() - self._began

    def total(self) -> TurnUsage | None:
        """None if no model was asked."""
        if not self._usages:
            return None
        return TurnUsage(
            prompt_tokens=sum(usage.prompt_tokens for usage in self._usages),
            cached_tokens=sum(usage.cached_tokens for usage in self._usages),
            completion_tokens=sum(usage.completion_tokens for usage in self._usages),
            read_seconds=sum(usage.read_seconds for usage in self._usages),
            write_seconds=sum(usage.write_seconds for usage in self._usages),
            first_text_seconds=self._first_text,
            seconds=self._clock.monotonic() - self._began,
        )
