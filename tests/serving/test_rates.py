"""How often each token may ask, and how much may be asked in each session."""

from __future__ import annotations

import pytest

from agentd.errors import TooOften
from agentd.ports.channels import Caller
from agentd.records import OWNER, Sender
from agentd.serving.rates import BURST_SECONDS, REMEMBERED, Rate, Rates
from agentd.testing.clock import FakeClock


def test_a_burst_is_taken_and_then_as_much_as_the_rate_lets_through() -> None:
    clock = FakeClock()
    rate = Rate(60, clock.monotonic)
    assert [rate.take("a") for _ in range(int(BURST_SECONDS))] == [0.0] * int(BURST_SECONDS)
    assert rate.take("a") == 1.0
    assert rate.take("b") == 0.0, "of another name"
    clock.advance(1.5)
    assert (rate.take("a"), rate.take("a")) == (0.0, 0.5)


def test_a_rate_that_is_none_lets_everything_through() -> None:
    assert not any(Rate().take("a") for _ in range(10_000))


def test_only_so_many_names_are_remembered() -> None:
    rate = Rate(1)
    for n in range(2 * REMEMBERED):
        rate.take(str(n))
    assert len(rate._buckets) == REMEMBERED


def test_a_token_and_a_session_have_limits_of_their_own() -> None:
    rates = Rates(requests=Rate(1), questions=Rate(1))
    caller = Caller(principal=OWNER, sender=Sender(id="t"), token="t1")
    rates.check_request(caller)
    rates.check_question("s")
    with pytest.raises(TooOften) as refused:
        rates.check_request(caller)
    assert 0 < refused.value.seconds <= 60
    with pytest.raises(TooOften):
        rates.check_question("s")
    rates.check_question("another")
