"""The place of a sentence in its text is found through markup."""

from __future__ import annotations

import pytest

from agentd.evidence.spans import located


@pytest.mark.parametrize(
    ("text", "sentences", "span"),
    [
        ("One. Two words. Three.", ["Two words."], "Two words."),
        ("He saw *New\n  York* (twice). Bye.", ["He saw New York (twice)."], "He saw *New\n  York* (twice)."),
        ("See [the page](http://x.y/z) now. Bye.", ["See the page now."], "See [the page](http://x.y/z) now."),
        ("| a | b |\n|---|---|\n| turn | one message |", ["turn: one message"], "turn | one message"),
        ("One two. One three. End.", ["One three.", "End."], "One three. End."),
        ("One two. Nothing else.", ["Not there."], "One two. Nothing else."),
        ("", ["x"], ""),
        ("text", [], "text"),
    ],
)
def test_where_sentences_stand(text: str, sentences: list[str], span: str) -> None:
    start, end = located(text, sentences)
    assert text[start:end] == span
