"""Drafts: pieces in any order of trouble, and an end that is held back while it may become something else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.cli.repl.drafts import Draft, without_unknown
from agentd.text.plain import plain


def draft(*pieces: tuple[int, str], known: frozenset[int] | None = None) -> str:
    made = Draft()
    made.known = known
    for n, text in pieces:
        made.add(n, text)
    return made.text


def test_pieces_that_overlap_are_put_together_by_their_offsets() -> None:
    assert draft((0, "one "), (4, "two"), (4, "two, three.")) == "one two, three."
    assert draft((0, "one"), (0, "one two.")) == "one two."


def test_after_a_hole_nothing_is_added() -> None:
    assert draft((0, "one."), (9, "three"), (4, "two")) == "one."


def test_marks_of_passages_that_were_not_found_are_left_out_but_not_in_code() -> None:
    text = "Yes [1], no [7]. `a[7]` and\n```\nb[7]\n```\n[2]."
    assert draft((0, text), known=frozenset({1, 2})) == "Yes [1], no. `a[7]` and\n```\nb[7]\n```\n[2]."
    assert draft((0, text)) == text
    assert without_unknown(text, None) == text


def test_an_end_that_may_become_a_mark_or_an_escape_sequence_is_held_back() -> None:
    assert draft((0, "Yes [1")) == "Yes"
    assert draft((0, "Yes \x1b[3")) == "Yes "
    assert draft((0, "Yes "), (4, "\x1b[31mred\n")) == "Yes red\n"


PIECES = st.lists(
    st.sampled_from(["a", " ", "\n", "\x1b", "[", "3", "1m", "]", "0;t\x07", "P", "\\", "[2]", "\x9b", "é"])
)


@given(PIECES)
def test_a_longer_draft_of_prose_begins_with_the_shorter_one(pieces: list[str]) -> None:
    made, n, shown = Draft(), 0, ""
    for piece in pieces:
        made.add(n, piece)
        n += len(piece)
        text = made.text
        assert "\x1b" not in text and "\x9b" not in text
        if "\x1b" not in "".join(pieces):
            assert text.startswith(shown)
        shown = text
    assert plain("".join(pieces)).startswith(shown) or "\x1b" in "".join(pieces)
