"""Everyday words that say the same are taken for each other, all others only for themselves."""

from __future__ import annotations

from agentd.evidence.synonyms import alternatives
from agentd.text.language import stem


def test_a_telephone_is_a_phone_and_a_mobile() -> None:
    same = alternatives(stem("phones", "english"), "english")
    assert {stem("telephone", "english"), stem("mobile", "english"), "tel"} <= same
    assert stem("handy", "german") in alternatives(stem("telefonnummer", "german"), "german")


def test_irregular_forms_are_one_word_in_their_language() -> None:
    assert stem("wrote", "english") in alternatives(stem("written", "english"), "english")
    assert "wrote" not in alternatives("written", "german")


def test_any_other_word_is_itself() -> None:
    assert alternatives("turn", "english") == {"turn"}
    assert alternatives("", "english") == {""}


def test_compared_words_are_forms_of_one() -> None:
    for word, form in (("faster", "fast"), ("largest", "larg"), ("bigger", "big")):
        assert form in alternatives(word, "english")
    assert alternatives("faster", "german") == {"faster"}
