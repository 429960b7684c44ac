"""Text of strangers takes processor time that grows no faster than the text, whatever it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from tempfile import NamedTemporaryFile

import pytest

from agentd.evidence import marking
from agentd.evidence.attribution import rests_on
from agentd.evidence.call_forms import looks_like_call, read_calls
from agentd.evidence.follow_ups import refers_back
from agentd.evidence.marking import Marker
from agentd.evidence.pasted import divided
from agentd.evidence.questions import asks_for_facts, wants_documents
from agentd.evidence.replies import Circles, flaw
from agentd.models.extractive import answer
from agentd.models.llama.family import parse_gemma, parse_tagged
from agentd.records import Passage
from agentd.retrieval import chunks
from agentd.retrieval.chunks import split
from agentd.retrieval.outline import front_matter, structure
from agentd.retrieval.readers import read
from agentd.text.language import content_words, searchable, sentences, stems
from agentd.text.markup import blocks
from agentd.tools.plain_questions import call_for
from agentd.turns.citations import check_citations, without_sources

LONG, SHORT = 8_000, 1_600
"""Characters of a text for what only looks at it, and for what reads each of its words."""
FACTOR = 8
MARGIN = 3
"""Times as much as linear growth; growth with the square would be `FACTOR` times as much."""
NOISE = 0.001
"""Seconds: the least that a small text is reckoned with."""
TRIES = 3
"""Another program may have had the caches: the shortest of so many times counts."""
WINDOW_SECONDS = 0.3
"""Processor time for the longest text that the splitter is ever given; a third of it is the most that was seen."""

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
    "sections": "# a\n" + "aa bb " * 20 + "\n\n",
    "deeper sections": "".join(f"{'#' * n} {'a ' * 70}\n\naa bb.\n\n" for n in range(1, 6)),
    "lines": "a\n",
    "tasks": "- [ ] - [x] a\n",
    "footnotes": "[^a]: b\n",
    "references": "[a]: b\n\n",
    "definitions": "a\n: ---\n",
    "rules": "---\n",
    "underlined": "a\n===\n",
    "keys": "a: b\n",
    "quotations within quotations": "> ",
    "lists within lists": "- ",
    "HTML": "<!-- <pre> ",
    "data": "data:a/b;a=b,",
    "an image's data": "data:a/b," + "A" * 64 + " ",
    "joined emoji": "\U0001f468\u200d",
    "Chinese without an end": "".join(map(chr, range(0x4E00, 0x4EC8))),
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


def said_by_a_file(text: str) -> None:
    with NamedTemporaryFile(suffix=".md") as file:
        file.write(text.encode())
        file.flush()
        read(file.name)


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
    "headings": lambda text: (structure(text, 0), structure(f"# {text}", 0), structure(f"a{text}\n===", 0)),
    "front matter": lambda text: (front_matter(f"---\ntitle: {text}"), front_matter(f"---\na: b\n{text}\n---\n")),
    "a file": said_by_a_file,
    "chunks of plain text": lambda text: split(text, markdown=False),
    "chunks of Markdown": lambda text: (split(text, markdown=True), split(f"---\na: b\n---\n# {text}", markdown=True)),
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


def shortest(work: Callable[[str], object], text: str, enough: float = 0.0) -> float:
    """Of at most `TRIES` times, of which one that is short `enough` is the last."""
    found = seconds(work, text)
    for _ in range(TRIES - 1):
        if found > enough:
            found = min(found, seconds(work, text))
    return found


@pytest.mark.parametrize("name", WORK)
def test_time_grows_no_faster_than_the_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is cut before it is looked at is cut so often that the pieces do not count.
    monkeypatch.setattr(chunks, "WINDOW", LONG // FACTOR)
    monkeypatch.setattr(chunks, "CJK_WINDOW", LONG // FACTOR // 4)
    monkeypatch.setattr(marking, "LONGEST", SHORT // FACTOR)
    work = WORK[name]
    work("Aa bb.")  # what is made once
    size = LONG if name in LOOKS else SHORT
    slow = {}
    for shape, unit in SHAPES.items():
        text = unit * max(1, size // FACTOR // len(unit))
        limit = MARGIN * FACTOR * max(shortest(work, text, NOISE), NOISE)
        if (large := shortest(work, text * FACTOR, limit)) > limit:
            slow[shape] = (large, limit)
    assert not slow


@pytest.mark.parametrize("markdown", [True, False])
def test_the_longest_text_that_the_splitter_is_given_takes_a_bounded_time(markdown: bool) -> None:
    def cut(text: str) -> None:
        split(text, markdown=markdown)

    slow = {}
    for shape, unit in SHAPES.items():
        text = (unit * (chunks.WINDOW // len(unit) + 1))[: chunks.WINDOW]
        if (took := shortest(cut, text, WINDOW_SECONDS)) > WINDOW_SECONDS:
            slow[shape] = took
    assert not slow
