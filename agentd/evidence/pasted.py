"""Divides a message into its question and the text that was pasted with it; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from agentd.text.language import content_words, focus, is_question

LONGEST_QUESTION = 1000
"""A paragraph of up to this many characters may be the question about the text around it."""
MOST = 65_536
"""How many characters of a pasted text are read for an answer: in a longer one, the parts about the question."""
PART = 2048
TERMS = 48
"""How many words of a question are looked for in a long text."""
STEM = 5
"""How many first characters a word shares with its other forms."""
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


def divided(message: str) -> tuple[str, str]:
    """The question of a message and the text that is given with it, "" if there is none.

    The question is the last paragraph, where `agentd ask` puts it, or the first one if only that ends in a question
    mark.
    """
    paragraphs = [paragraph for paragraph in _PARAGRAPHS.split(message) if paragraph.strip()]
    if len(paragraphs) < 2:
        return message, ""
    first = is_question(paragraphs[0]) and not is_question(paragraphs[-1])
    question = paragraphs[0] if first else paragraphs[-1]
    if len(question) > LONGEST_QUESTION:
        return message, ""
    rest = paragraphs[1:] if first else paragraphs[:-1]
    return question, "\n\n".join(rest)


def telling(text: str, question: str) -> str:
    """The part of a given text that is read for an answer: all of it, or the parts with the question's words."""
    if len(text) <= MOST:
        return text
    parts = list(_parts(text))
    scores = _scores(parts, question)
    best = sorted(range(len(parts)), key=lambda n: (-scores[n], n))[: MOST // PART]
    return "\n\n".join(parts[n] for n in sorted(best))


def _parts(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        window = text[start : start + PART]
        cuts = (
            window.rfind(mark, PART // 2) + len(mark) for mark in ("\n\n", "\n", " ") if mark in window[PART // 2 :]
        )
        stop = start + (next(cuts, PART) if len(window) == PART else PART)
        yield text[start:stop]
        start = stop


def _scores(parts: list[str], question: str) -> list[float]:
    """How many of the question's words each part contains; rarer words count more."""
    said = [part.lower() for part in parts]
    scores = [0.0] * len(parts)
    for word in {word[:STEM] for word in content_words(focus(question))[:TERMS]}:
        holders = [n for n, part in enumerate(said) if word in part]
        for n in holders:
            scores[n] += math.log(1 + len(parts) / len(holders))
    return scores
