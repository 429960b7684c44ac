"""A definition is told from a sentence that only mentions what was asked for."""

from __future__ import annotations

from typing import Literal

import pytest

from agentd.evidence.candidates import Sentence
from agentd.evidence.definitions import defines


def sentence(text: str, kind: Literal["prose", "row"], head: frozenset[str] = frozenset()) -> Sentence:
    none: frozenset[str] = frozenset()
    return Sentence(
        passage=1,
        n=0,
        block=0,
        kind=kind,
        text=text,
        held=text,
        sequence=(),
        stems=none,
        before=none,
        heading=none,
        title=none,
        head=head,
    )


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
    assert defines(sentence(text, "prose"), ["dead", "letter"], "english")


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
    assert not defines(sentence(text, "prose"), ["dead", "letter"], "english")


def test_a_row_defines_its_first_cell() -> None:
    assert defines(sentence("turn: one message", "row"), ["turn"], "english")
    assert defines(sentence("`daemon.grace`: 20 s", "row"), ["daemon", "grace"], "english")
    assert not defines(sentence("`/turn`: lists them", "row"), ["turn"], "english")
    assert not defines(sentence("one message: turn", "row"), ["turn"], "english")


def test_nothing_asked_is_not_defined() -> None:
    assert not defines(sentence("...: x", "row"), [], "english")


def test_other_languages_define_too() -> None:
    assert defines(sentence("Der Schlüssel ist weg.", "prose"), ["schlussel"], "german")
    assert defines(sentence("La clé est ici.", "prose"), ["cle"], "french")


def test_a_row_is_about_its_first_cell_and_what_its_columns_are_called() -> None:
    row = sentence("`daemon.grace`: 20 s, how long", "row", frozenset({"key", "default"}))
    assert defines(row, ["default", "daemon", "grace"], "english")
    assert not defines(row, ["default", "daemon", "owner"], "english") and not defines(row, ["default"], "english")
