"""A definition is told from a sentence that only mentions what was asked for."""

from __future__ import annotations

import pytest

from agentd.evidence.definitions import defines


@pytest.mark.parametrize(
    "text",
    [
        "A dead letter is an event that was given up on.",
        "Dead letters are kept.",
        "The dead letter — kept for a person — waits.",
        "Dead letter means given up.",
    ],
)
def test_a_sentence_defines_its_subject(text: str) -> None:
    assert defines(text, "prose", ["dead", "letter"], "english")


@pytest.mark.parametrize(
    "text",
    [
        "If the dead letter is old, drop it.",
        "A dead letter drawer is heavy.",
        "A letter is dead.",
        "See also: dead letter",
        "",
    ],
)
def test_another_subject_is_not_defined(text: str) -> None:
    assert not defines(text, "prose", ["dead", "letter"], "english")


def test_a_row_defines_its_first_cell() -> None:
    assert defines("turn: one message", "row", ["turn"], "english")
    assert defines("`daemon.grace`: 20 s", "row", ["daemon", "grace"], "english")
    assert not defines("`/turn`: lists them", "row", ["turn"], "english")
    assert not defines("one message: turn", "row", ["turn"], "english")


def test_nothing_asked_is_not_defined() -> None:
    assert not defines("...: x", "row", [], "english")


def test_other_languages_define_too() -> None:
    assert defines("Der Schlüssel ist weg.", "prose", ["schlussel"], "german")
    assert defines("La clé est ici.", "prose", ["cle"], "french")
