"""Passages are taken apart into sentences that know what stands around them."""

from __future__ import annotations

from agentd.evidence.candidates import candidates
from tests.builders import passage


def test_sentences_know_their_passage_their_headings_and_what_comes_before() -> None:
    place = passage(3, "Seals sleep. They eat fish.", title="Animals", heading="Seals")
    first, second = candidates([place], "english")
    assert [(s.passage, s.n, s.kind, s.text) for s in (first, second)] == [
        (3, 0, "prose", "Seals sleep."),
        (3, 1, "prose", "They eat fish."),
    ]
    assert first.block == second.block
    assert first.sequence == ("seal", "sleep") and first.before == frozenset()
    assert second.before == {"seal", "sleep"} and second.heading == {"seal"} and second.title == {"anim"}


def test_a_heading_in_a_passage_speaks_for_what_comes_below_it() -> None:
    (found,) = candidates([passage(1, "## Food\n\nThey eat fish.", heading="Seals")], "english")
    assert found.heading == {"seal", "food"}


def test_items_rows_and_code_are_told_apart() -> None:
    text = "- one item\n\n| a | b |\n|---|---|\n| c | d |\n\n```\ncode\n```"
    assert [(s.kind, s.text) for s in candidates([passage(1, text)], "english")] == [
        ("item", "one item"),
        ("row", "c: d"),
        ("code", "```\ncode\n```"),
    ]


def test_numbers_go_on_from_passage_to_passage() -> None:
    found = list(candidates([passage(1, "One. Two."), passage(2, "Three.")], "english"))
    assert [(s.passage, s.n) for s in found] == [(1, 0), (1, 1), (2, 2)]
    assert len({s.block for s in found}) == 2
