"""Marks of sources are put in while an answer streams, the same however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.evidence.marking import LONGEST, Marker


def rests(sentence: str) -> tuple[int, ...]:
    found = {"rent": 7, "otter": 3}
    return tuple(n for word, n in found.items() if word in sentence.lower())


def marked(text: str, size: int) -> tuple[str, list[int]]:
    marker = Marker(rests)
    given = "".join(marker.feed(text[at : at + size]) for at in range(0, len(text), size))
    return given + marker.finish(), marker.used


CASES = {
    "The rent is due. It rains.": "The rent is due. [1] It rains.",
    "It rains. The rent is due": "It rains. The rent is due [1]",
    "The otter swims. The rent is due. An otter pays the rent.": "The otter swims. [1] The rent is due. [2] An otter "
    "pays the rent. [2] [1]",
    "- the rent\n- an otter\n": "- the rent [1]\n- an otter [2]\n",
    "Rent: [3] 500 euros [1, 2].": "Rent: 500 euros. [1]",
    "Pay the rent.\n\n```\nrent = 1\n```\n\nDone.": "Pay the rent. [1]\n\n```\nrent = 1\n```\n\nDone.",
    "See [the rent](x) now.": "See [the rent](x) now. [1]",
    "e.g. the rent. Yes.": "e.g. the rent. [1] Yes.",
    "": "",
    "  ": "  ",
    "[1]": "",
}


@pytest.mark.parametrize(("text", "expected"), CASES.items())
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_each_sentence_gets_the_marks_of_the_passages_that_it_rests_on(text: str, expected: str, size: int) -> None:
    assert marked(text, size)[0] == expected


def test_passages_are_numbered_by_their_use() -> None:
    assert marked("An otter. The rent.", 4)[1] == [3, 7]


def test_text_is_shown_as_soon_as_it_is_certain() -> None:
    marker = Marker(rests)
    assert marker.feed("The rent") == "The rent"
    assert marker.feed(" is due.") == " is due."
    assert marker.feed(" It") == " [1] It"
    assert marker.finish() == ""


@given(st.text(alphabet="rent. \n[12]`,Oé!?", max_size=200), st.integers(1, 30))
def test_how_a_text_is_cut_changes_nothing(text: str, size: int) -> None:
    assert marked(text, size) == marked(text, 1000)


def test_a_sentence_without_an_end_is_ended() -> None:
    marker = Marker(lambda sentence: (7,))
    given = "".join(marker.feed("rent " * 10) for _ in range(100))
    assert " [1]" in given
    assert len(marker.finish()) < LONGEST
