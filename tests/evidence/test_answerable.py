"""Whether passages hold an answer is judged from their words."""

from __future__ import annotations

import pytest

from agentd.evidence.answerable import ENOUGH, judge
from tests.builders import passage

TESLA = passage(
    1,
    "Tesla died in New York on 7 January 1943. He had lived in hotels for many years. His nephew moved his belongings.",
    title="tesla",
    heading="",
)
STEAM = passage(
    2,
    "The heat for boiling the water is derived from coal or oil. A steam turbine has one or more rotors on a shaft.",
    title="steam",
    heading="",
)


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("When did Tesla die?", 1),
        ("What did Tesla's nephew move?", 1),
        ("From what is the heat for boiling water derived?", 2),
        ("How many rotors does a steam turbine have?", 2),
    ],
)
def test_passages_that_hold_the_answer_are_recognised(question: str, best: int) -> None:
    found = judge(question, [TESLA, STEAM])
    assert found.answerable and found.score >= ENOUGH
    assert found.best[0] == best and set(found.best) <= {1, 2}


@pytest.mark.parametrize(
    "question",
    [
        "Who won the world cup in 1974?",
        "What is the capital of France?",
        "Which prize did Marconi win for the radio in Stockholm?",
        "How many pounds of steam does the Energiprojekt engine use per hour?",
        "",
        "?",
    ],
)
def test_passages_that_do_not_are_too(question: str) -> None:
    found = judge(question, [TESLA, STEAM])
    assert not found.answerable and found.score < ENOUGH


def test_without_passages_nothing_can_be_answered() -> None:
    found = judge("When did Tesla die?", [])
    assert (found.answerable, found.score, found.best) == (False, 0.0, ())
