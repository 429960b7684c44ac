"""A sentence tells what kinds of answers it could hold."""

from __future__ import annotations

import pytest

from agentd.evidence.kinds import kinds_of_answer


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
