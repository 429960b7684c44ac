"""What a turn took is added up over its requests."""

from __future__ import annotations

from agentd.ports.generation import Usage
from agentd.records import TurnUsage
from agentd.testing.clock import FakeClock
from agentd.turns.account import Account


def test_the_usage_of_all_requests_is_added_up_and_the_first_text_counts() -> None:
    clock = FakeClock()
    account = Account(clock)
    assert account.total() is None
    account.add(Usage(prompt_tokens=100, cached_tokens=10, completion_tokens=5, read_seconds=1.5, write_seconds=0.5))
    clock.advance(2)
    account.spoke()
    clock.advance(3)
    account.spoke()
    account.add(Usage(prompt_tokens=20, cached_tokens=0, completion_tokens=7))
    assert account.total() == TurnUsage(
        prompt_tokens=120,
        cached_tokens=10,
        completion_tokens=12,
        read_seconds=1.5,
        write_seconds=0.5,
        first_text_seconds=2,
        seconds=5,
    )
