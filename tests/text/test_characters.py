"""Halves of characters are joined, or replaced; nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.text.characters import Joiner, whole

ANY = st.text(st.sampled_from("\ud83d\udc3a\ud800\udfff🐺é\x00a"), max_size=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("wolf 🐺 é", "wolf 🐺 é"),
        ("\ud83d\udc3a", "🐺"),
        ("a\ud83db", "a\ufffdb"),
        ("\udc3a\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\udc3a!", "\ufffd🐺!"),
        ("\ufeff\ufffe", "\ufeff\ufffe"),
    ],
)
def test_halves_are_joined_and_the_rest_replaced(text: str, expected: str) -> None:
    assert whole(text) == expected


@given(st.lists(ANY, max_size=6))
def test_pieces_become_what_the_whole_text_becomes(pieces: list[str]) -> None:
    joiner = Joiner()
    joined = "".join(map(joiner.feed, pieces)) + joiner.finish()
    assert joined == whole("".join(pieces)) and joined.encode() is not None


def test_what_can_be_handed_on_does_not_wait() -> None:
    joiner = Joiner()
    assert joiner.feed("wolf \ud83d") == "wolf "
    assert joiner.feed("") == ""
    assert joiner.feed("\udc3a end") == "🐺 end"
    assert joiner.finish() == ""
