"""Headings and code are found line by line, as Markdown has them."""

from __future__ import annotations

import pytest

from agentd.retrieval.outline import HEADING, front_matter, structure


def headings(text: str) -> list[tuple[int, str]]:
    return [(heading.level, heading.name) for heading in structure(text, 0).headings]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One\n\n### Three ###\n", [(1, "One"), (3, "Three")]),
        ("One\n===\n\nTwo\nlines\n---\n", [(1, "One"), (2, "Two lines")]),
        ("#no\n\n####### no\n\n    # no\n", []),
        ("```\n# no\n```\n# Yes\n", [(1, "Yes")]),
        ("~~~\n# no\n```\n# no\n", []),
        ("<!--\n# no\n-->\n# Yes\n", [(1, "Yes")]),
        ("- item\n---\n> quote\n---\n\n---\n", []),
        ("| a |\n|---|\n", []),
    ],
)
def test_headings_are_those_of_markdown(text: str, found: list[tuple[int, str]]) -> None:
    assert headings(text) == found


def test_a_heading_is_cut() -> None:
    [(_, name)] = headings("# " + "word " * 1000)
    assert len(name) <= HEADING


@pytest.mark.parametrize(
    ("text", "title", "rest"),
    [
        ("---\ntitle: The guide\ntags:\n- a\n  more\n---\nText.", "The guide", "Text."),
        ("---\ndate: 2024-01-01\n...\nText.", "", "Text."),
        ("---\n\nThe password is here.\n\n---\n", "", None),
        ("---\nMeeting of Monday.\n\n---\n", "", None),
        ("---\ntitle: never closed\n", "", None),
        ("----\na: b\n----\n", "", None),
    ],
)
def test_front_matter_is_only_what_reads_as_yaml(text: str, title: str, rest: str | None) -> None:
    found, begin = front_matter(text)
    assert (found, text[begin:]) == (title, text if rest is None else rest)
