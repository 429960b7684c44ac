"""The lists hold what they are used with: words as `language.words` makes them."""

from __future__ import annotations

import snowballstemmer  # type: ignore[import-untyped] # it has no type hints

from agentd.text.language import words
from agentd.text.stopwords import FRAME_WORDS, STOP_WORDS


def test_every_language_has_a_stemmer() -> None:
    assert set(STOP_WORDS) <= set(snowballstemmer.algorithms())
    assert set(FRAME_WORDS) == set(STOP_WORDS)


def test_every_entry_is_one_word_as_texts_are_read() -> None:
    for lists in (STOP_WORDS, FRAME_WORDS):
        for language, entries in lists.items():
            assert [(language, words(entry)) for entry in entries] == [(language, [entry]) for entry in entries]
