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
        ("code", "code"),
    ]


def test_a_row_is_matched_as_it_stands_and_said_with_what_its_columns_are_called() -> None:
    (row,) = candidates([passage(1, "| `grace` | 20 s | how long |", head="| key | default | meaning |")], "english")
    assert row.held == "`grace`: 20 s, how long" and "default: 20 s" in row.text
    assert row.head == {"key", "default", "mean"} <= row.heading and "default" not in row.stems


def test_the_head_of_a_table_says_nothing_of_what_comes_behind_it() -> None:
    *_, last = candidates([passage(1, "| key | default |\n|---|---|\n| a | b |\n\nThe end.", heading="")], "english")
    assert last.heading == frozenset()


def test_code_is_its_lines_and_those_with_a_remark_say_something() -> None:
    text = "```sh\nmake chat   # opens a talk\n\nmake test\n```"
    found = list(candidates([passage(1, text)], "english"))
    assert [(s.text, s.is_told, s.info) for s in found] == [
        ("make chat   # opens a talk", True, "sh"),
        ("make test", False, "sh"),
    ]
    assert len({s.block for s in found}) == 1


def test_what_is_indented_is_code_if_the_source_is_markdown() -> None:
    text = "Run:\n\n    make chat\n"
    assert [s.kind for s in candidates([passage(1, text, source="/a.md")], "english")] == ["prose", "code"]
    assert [s.kind for s in candidates([passage(1, text, source="/a.txt")], "english")] == ["prose", "prose"]


def test_numbers_go_on_from_passage_to_passage() -> None:
    found = list(candidates([passage(1, "One. Two."), passage(2, "Three.")], "english"))
    assert [(s.passage, s.n) for s in found] == [(1, 0), (1, 1), (2, 2)]
    assert len({s.block for s in found}) == 2
