"""How many tokens a step may have on this machine, so that nobody waits too long for its end. Pure."""

from __future__ import annotations

from agentd.models.llama.scheduler import BATCH

LONE = 256
"""Tokens of a step that reads one prompt beside running answers: it slows them down and does not freeze them."""
GUESSES = 64
"""Guessed tokens of all answers in a step."""
LONGEST_SECONDS, LONE_SECONDS = 2.0, 0.5
"""How long a step may take on a slower machine: any step, because a cancel waits for its end, and a step that reads one
prompt beside answers, or reads ahead while a question may come."""
FEWEST = 32
"""Tokens that every step may have; also before anything is known about the machine."""


class StepSize:
    """Learns from each step how fast the machine is; `speed` is what is known at first, in tokens per second or 0."""

    def __init__(self, speed: float) -> None:
        self._speed = speed or None
        self._settle()

    def learn(self, tokens: int, seconds: float) -> None:
        """A step of so many tokens took so long."""
        if tokens >= FEWEST and seconds > 0:
            now = tokens / seconds
            self._speed = now if self._speed is None else 0.7 * self._speed + 0.3 * now
            self._settle()

    def _settle(self) -> None:
        self.longest = self._within(BATCH, LONGEST_SECONDS)
        """Tokens of any step."""
        self.lone = self._within(LONE, LONE_SECONDS)
        """Tokens of a step that reads one prompt while answers wait."""
        self.guesses = self._within(GUESSES, LONGEST_SECONDS)
        """Guessed tokens, of all answers together."""
        self.ahead = self._within(BATCH, LONE_SECONDS)
        """Tokens of a step that reads ahead."""

    def _within(self, most: int, seconds: float) -> int:
        return FEWEST if self._speed is None else max(FEWEST, min(most, int(self._speed * seconds)))
