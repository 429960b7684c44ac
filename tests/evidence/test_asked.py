"""A question is taken apart into the words that matter, and the kind of answer that is wanted."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import pytest

from agentd.evidence.asked import TERMS, asked, informative


def test_names_numbers_and_kinds_are_told_apart() -> None:
    found = asked("Which river did Caesar cross in 49 BC?")
    assert found.language == "english"
    assert found.terms == ("river", "caesar", "cross", "49", "bc")
    assert found.names == {"caesar", "bc"}
    assert found.numbers == {"49"}
    assert found.kinds == {"river"}
    assert found.wanted == "thing"


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Who built the tower?", "name"),
        ("Where do seals sleep?", "place"),
        ("When was it built?", "time"),
        ("In what year did Tesla die?", "time"),
        ("How many seals are there?", "number"),
        ("What percentage of seals sleep?", "number"),
        ("Why do seals sleep?", ""),
        ("What is a seal?", ""),
        ("Wer hat den Turm gebaut?", "name"),
        ("Wie viele Robben gibt es?", "number"),
        ("Quand la tour a-t-elle été construite ?", "time"),
        ("Где спят тюлени?", "place"),
    ],
)
def test_what_is_wanted(question: str, wanted: str) -> None:
    assert asked(question).wanted == wanted


def test_a_measure_need_not_stand_in_the_answer() -> None:
    assert asked("In what year did Tesla die?").terms == ("tesla", "die")
    assert asked("How tall is the tower?").terms == ("tower",)


def test_german_nouns_are_no_names() -> None:
    assert asked("Wo liegt der Schlüssel für den Keller?").names == frozenset()


def test_of_a_long_question_both_ends_are_looked_at() -> None:
    found = asked(" ".join(f"word{n}" for n in range(300)))
    assert len(found.terms) == TERMS
    assert found.terms[0] == "word0" and found.terms[-1] == "word299"


def test_any_text_is_a_question() -> None:
    for text in ("", "   ", "?!", "\0\ud800", "the of and"):
        assert len(asked(text).terms) <= 3


def test_words_that_only_frame_a_question_are_not_asked_for() -> None:
    found = informative("What happens to a message when the daemon is killed?", "english")
    assert found == ["messag", "daemon", "kill"]
    assert informative("Что происходит с сообщением?", "russian") == ["сообщен"]


@pytest.mark.parametrize(
    ("question", "does"),
    [
        ("How do I delete a conversation?", True),
        ("Which command deletes a conversation?", True),
        ("Wie lösche ich ein Gespräch?", True),
        ("How long is the bridge?", False),
        ("What is a bridge?", False),
        ("Who wrote it?", False),
    ],
)
def test_whether_something_is_to_be_done_is_told(question: str, does: bool) -> None:
    assert asked(question).does is does


def test_what_is_known_by_its_form_need_not_be_said() -> None:
    assert asked("Which command removes a dead letter?").terms == ("remov", "dead", "letter")
    assert asked("Which command?").terms == ("command",)


def test_a_question_that_goes_back_has_the_words_of_the_one_before_as_context() -> None:
    found = asked("And the museum?", "How many crowns does the ferry cost?")
    assert found.context == {"crown", "ferri", "cost"} and found.terms[-1] == "museum"
    assert found.wanted == "number", "it asks for what was asked for before"
    assert asked("And when does it leave?", "How many crowns does it cost?").wanted == "time"
    assert asked("When does it leave?").context == frozenset()
