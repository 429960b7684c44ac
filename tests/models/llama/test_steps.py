"""How many tokens a step may have."""

from __future__ import annotations

import pytest

from agentd.models.llama.steps import FEWEST, StepSize


@pytest.mark.parametrize(
    ("speed", "longest", "lone", "guesses", "ahead"),
    [
        (0, FEWEST, FEWEST, FEWEST, FEWEST),
        (10, FEWEST, FEWEST, FEWEST, FEWEST),
        (100, 200, 50, 64, 50),
        (1000, 512, 256, 64, 500),
    ],
)
def test_a_faster_machine_has_larger_steps(speed: float, longest: int, lone: int, guesses: int, ahead: int) -> None:
    size = StepSize(speed)
    assert (size.longest, size.lone, size.guesses, size.ahead) == (longest, lone, guesses, ahead)


def test_it_follows_what_the_steps_took_and_not_the_small_ones() -> None:
    size = StepSize(0)
    size.learn(FEWEST - 1, 0.001)
    assert size.longest == FEWEST
    size.learn(100, 1.0)
    assert size.longest == 200
    size.learn(200, 1.0)
    assert size.longest == 260
