"""What turns took in tokens and seconds: their sum, and the text for people."""

from __future__ import annotations

from agentd.events import Event, OutboundEvent
from agentd.records import TurnUsage

NOTHING = TurnUsage()


class UsageTotals:
    """The sum of what the answers of this process took; the bus feeds it as one of its reducers.

    A model that does not tell how long it reads and writes, such as the extractive one, is not counted.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.total = NOTHING

    def apply(self, event: Event) -> None:
        if isinstance(event, OutboundEvent) and event.usage is not None and _timed(event.usage):
            self.answers += 1
            self.total = added(self.total, event.usage)


def _timed(usage: TurnUsage) -> bool:
    return usage.read_seconds > 0 or usage.write_seconds > 0


def added(one: TurnUsage, other: TurnUsage) -> TurnUsage:
    """The tokens and seconds of both."""
    return TurnUsage(**{name: getattr(one, name) + getattr(other, name) for name in TurnUsage.model_fields})


def usage_line(usage: TurnUsage) -> str:
    """Tokens, their speeds if known, and how soon the first text came, as in

    "812 tokens read (790 new) at 121/s, 64 written at 11/s, first text after 6.5 s".
    """
    told = [*tokens_told(usage)]
    if usage.first_text_seconds:
        told.append(f"first text after {usage.first_text_seconds:,.1f} s")
    return ", ".join(told)


def tokens_told(usage: TurnUsage) -> tuple[str, str]:
    """How many tokens were read and written, each with the speed if that is known."""
    new = usage.prompt_tokens - usage.cached_tokens
    some_new = f" ({new:,} new)" if usage.cached_tokens else ""
    return (
        f"{usage.prompt_tokens:,} tokens read{some_new}{_speed(new, usage.read_seconds)}",
        f"{usage.completion_tokens:,} written{_speed(usage.completion_tokens, usage.write_seconds)}",
    )


def _speed(tokens: int, seconds: float) -> str:
    if not tokens or seconds <= 0:
        return ""
    speed = tokens / seconds
    return f" at {speed:,.0f}/s" if speed >= 10 else f" at {speed:.1f}/s"


def reading_line(done: int, total: int, seconds: float | None) -> str:
    """How far a prompt is read and how long the rest takes, as in "reading 800 of 2,100 tokens, about 40 s"."""
    amount = f"{done:,} of {total:,}" if done else f"{total:,}"
    return f"reading {amount} tokens" + ("" if seconds is None else f", about {_duration(seconds)}")


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
