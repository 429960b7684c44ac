"""Text of strangers takes processor time that grows no faster than the text, whatever it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from agentd.events import Passage
from agentd.evidence.attribution import rests_on
from agentd.evidence.call_forms import looks_like_call, read_calls
from agentd.evidence.follow_ups import refers_back
from agentd.evidence.marking import Marker
from agentd.evidence.pasted import divided
from agentd.evidence.questions import asks_for_facts, wants_documents
from agentd.evidence.replies import Circles, flaw
from agentd.language import content_words, searchable, sentences, stems
from agentd.markup import blocks
from agentd.models.extractive import answer
from agentd.models.llama.family import parse_gemma, parse_tagged
from agentd.prompt import check_citations, without_sources
from agentd.tools.plain_questions import call_for

LONG, SHORT = 40_000, 4_000
"""Characters of a text for what only looks at it, and for what reads each of its words."""
FACTOR = 8
MARGIN = 3
"""Times as much as linear growth; growth with the square would be `FACTOR` times as much."""
NOISE = 0.003
"""Seconds: the least that a small text is reckoned with."""

SHAPES: dict[str, str] = {
    "one word": "a",
    "dots": ".",
    "marks": "\u0301\u0323",
    "marks and half-width marks": "\u0301\uff9f\u0323",
    "blanks": " ",
    "empty lines": "\n",
    "lines of blanks": "\n \t",
    "brackets": "[",
    "links": "[a](",
    "images": "![",
    "stars": "**a *b ",
    "backticks": "`a``b",
    "quotes": '."',
    "quotations": "\n\n> a [1]",
    "headings": "# a\n",
    "list": "- [ ] a\n",
    "bars": "|a\n|-\n",
    "braces": '{"a": ',
    "calls": '{"name": "a", "arguments": {}} ',
    "numbers": "1. ",
    "abbreviations": "z.b. ",
    "sentences": "Aa bb. ",
    "words": "aa bb ",
    "marks of sources": "a [1], ",
    "tags": "<function=a><parameter=b>",
    "fences": "```\n",
    "Chinese": "\u6d88\u606f\u3002",
}


def passage(text: str) -> Passage:
    return Passage(n=1, title="", source="", start=0, end=len(text), document_id=1, chunk_id=1, text=text, score=1.0)


def marked(text: str) -> None:
    marker = Marker(lambda sentence: ())
    for at in range(0, len(text), 20):
        marker.feed(text[at : at + 20])
    marker.finish()


def circles(text: str) -> None:
    found = Circles()
    for at in range(0, len(text), 50):
        found.feed(text[at : at + 50])


LOOKS: dict[str, Callable[[str], object]] = {
    "searchable": searchable,
    "sentences": sentences,
    "question and text": divided,
    "kinds of questions": lambda text: (wants_documents(text), asks_for_facts(text), refers_back(text)),
    "plain question": call_for,
    "flaws": lambda text: flaw(text, told=(text + "x",)),
    "calls": lambda text: (read_calls(text, {}), looks_like_call(text), looks_like_call("[" + text)),
    "tagged call": lambda text: parse_tagged(f"<function=a>{text}"),
    "call of Gemma": lambda text: parse_gemma("call:a{" + text),
    "citations": lambda text: check_citations(text, [passage("")]),
    "without sources": lambda text: without_sources(f"{text}\n\n> b [1]x"),
}
READS: dict[str, Callable[[str], object]] = {
    "stems": lambda text: stems(text, "english"),
    "content words": content_words,
    "blocks": blocks,
    "answer to a question": lambda text: answer(text, [passage("Aa is bb.")]),
    "answer from a text": lambda text: answer(f"{text}\n\nWhat is aa?", []),
    "answer from a passage": lambda text: answer("What is aa?", [passage(text)]),
    "a sentence's passage": lambda text: rests_on(text, [passage("Aa is bb.")], "What is aa?"),
    "marks": marked,
    "circles": circles,
}
WORK = {**LOOKS, **READS}


def seconds(work: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    work(text)
    return time.thread_time() - start


@pytest.mark.parametrize("name", WORK)
def test_time_grows_no_faster_than_the_text(name: str) -> None:
    work = WORK[name]
    work("Aa bb.")  # what is made once
    size = LONG if name in LOOKS else SHORT
    slow = {}
    for shape, unit in SHAPES.items():
        text = unit * (size // len(unit))
        limit = MARGIN * FACTOR * max(seconds(work, text[: size // FACTOR]), NOISE)
        # Once more if it took long: another program may have had the caches.
        if (large := seconds(work, text)) > limit and (large := seconds(work, text)) > limit:
            slow[shape] = (large, limit)
    assert not slow
