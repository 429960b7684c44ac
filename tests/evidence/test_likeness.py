"""A word is found again in another form, as a synonym, within a compound, or misspelt; else it is not."""

from __future__ import annotations

import pytest

from agentd.evidence.likeness import COMPOUND, Vocabulary


def test_the_same_word_and_a_synonym_count_in_full() -> None:
    vocabulary = Vocabulary(["seal", "built", "tower"], "english")
    assert vocabulary.like("seal") == {"seal": 1.0}
    assert vocabulary.like("build") == {"built": 1.0}


@pytest.mark.parametrize(("term", "stem"), [("oxidis", "oxid"), ("restor", "restorat"), ("ctenohor", "ctenophor")])
def test_another_form_or_a_slip_counts_less(term: str, stem: str) -> None:
    found = Vocabulary([stem, "seal", "tower"], "english").like(term)
    assert found.keys() == {stem} and 0 < found[stem] < 1


def test_a_slip_counts_only_where_nothing_else_is_found() -> None:
    assert Vocabulary(["abilen", "ablien"], "english").like("abilen") == {"abilen": 1.0}


def test_what_is_not_alike_is_not_found() -> None:
    vocabulary = Vocabulary(["seal", "tower", "1905", "statement"], "english")
    for term in ("owl", "1906", "state", "se", "", "x"):
        assert vocabulary.like(term) == {}


def test_a_german_compound_holds_its_parts() -> None:
    assert Vocabulary(["kellerschlussel"], "german").like("schlussel") == {"kellerschlussel": COMPOUND}
    assert Vocabulary(["kellerschlussel"], "english").like("schlussel") == {}
