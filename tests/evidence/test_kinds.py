"""A sentence tells what kinds of answers it could hold."""

from __future__ import annotations

import pytest

from agentd.evidence.asked import asked
from agentd.evidence.kinds import kinds_of_answer, opens_with_name


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("It was built by Nikola Tesla.", {"name", "place"}),
        ("It was built in 1905.", {"number", "time"}),
        ("It was built in spring, in March.", {"time"}),
        ("There are seven of them.", {"number"}),
        ("Set `AGENTD_HOME` to change it.", set()),
        ("Nothing is said here.", set()),
        ("", set()),
    ],
)
def test_kinds_of_answer(text: str, kinds: set[str]) -> None:
    assert kinds_of_answer(text, (), "english") == kinds


def test_what_the_question_says_itself_is_no_answer() -> None:
    assert kinds_of_answer("It was built by Tesla in 1905.", {"tesla", "1905"}, "english") == set()


def test_a_sentence_may_begin_with_a_name() -> None:
    who = asked("Who buys the drones?")
    assert opens_with_name("Anna buys the drones.", who)
    assert opens_with_name("Anna Smith buys the drones.", who)
    assert not opens_with_name("Everything that buys drones is safe.", who)
    assert not opens_with_name("Drones are bought.", who)
    assert not opens_with_name("The drones fly.", who)
