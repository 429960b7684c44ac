"""Chunks have exact places, one section each, and a size that fits a question."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.retrieval.chunks import CHARACTERS, CJK_CHARACTERS, CRUMB, PATH, PATHS, PATHS_PART, Outline, split

SENTENCE = "A message that was accepted survives the end of the daemon, whatever ends it. "
LONGEST = CHARACTERS[1] + CHARACTERS[0] // CRUMB


def check(text: str, outline: Outline) -> None:
    for chunk in outline.chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
    assert all(one.end <= other.start for one, other in pairwise(outline.chunks))


def headings(text: str) -> list[str]:
    return [chunk.heading for chunk in split(text, markdown=True).chunks]


def test_a_chunk_knows_its_headings_below_the_title() -> None:
    text = "# Guide\n\nIntro.\n\n## Setup\n\nInstall it.\n\n### Debian\n\nUse apt.\n\n## Use\n\nAsk.\n"
    outline = split(text, markdown=True)
    assert outline.title == "Guide"
    assert [(chunk.heading, chunk.text) for chunk in outline.chunks] == [
        ("", "Intro."),
        ("Setup", "Install it."),
        ("Setup > Debian", "Use apt."),
        ("Use", "Ask."),
    ]


def test_a_comment_in_code_is_no_heading() -> None:
    text = "# Guide\n\n```sh\n# not a heading\nmake\n```\n\n~~~\n## nor this\n~~~\n"
    assert set(headings(text)) == {""}


def test_an_underlined_line_is_a_heading() -> None:
    assert headings("Guide\n=====\n\nSetup\n-----\n\nText.\n") == ["Setup"]


def test_markup_in_a_heading_is_dropped() -> None:
    assert headings("# T\n\n## The `run` *command* of [agentd](x.md) {#run}\n\nText.") == ["The run command of agentd"]


def test_front_matter_gives_the_title_and_is_no_heading() -> None:
    outline = split("---\ntitle: 'The guide'\ntags: [a]\n---\n\nText.\n", markdown=True)
    assert outline.title == "The guide"
    assert [(chunk.heading, chunk.text) for chunk in outline.chunks] == [("", "Text.")]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_keeps_places_exact(newline: str) -> None:
    text = newline.join(["# T", "", "a", "", "## Ü", "", "b 🦀 c", "", "## Z", "", "d"])
    outline = split(text, markdown=True)
    check(text, outline)
    assert [(chunk.heading, chunk.text) for chunk in outline.chunks] == [("", "a"), ("Ü", "b 🦀 c"), ("Z", "d")]


def test_long_prose_is_cut_at_sentences_near_a_hundred_words() -> None:
    text = SENTENCE * 150
    outline = split(text, markdown=True)
    check(text, outline)
    assert all(chunk.text.endswith(".") for chunk in outline.chunks)
    assert all(75 <= len(chunk.text.split()) <= 140 for chunk in outline.chunks[:-1])
    assert "".join("".join(chunk.text.split()) for chunk in outline.chunks) == "".join(text.split())


def test_chinese_chunks_are_shorter() -> None:
    text = "消息在被接受之前已经写入磁盘。" * 300
    outline = split(text, markdown=False)
    check(text, outline)
    assert max(len(chunk.text) for chunk in outline.chunks) <= CJK_CHARACTERS[1] + CJK_CHARACTERS[0] // CRUMB


def test_a_short_code_block_stays_with_its_sentence() -> None:
    text = "# T\n\nRun this:\n\n```sh\nmake chat\n```\n"
    assert [chunk.text for chunk in split(text, markdown=True).chunks] == ["Run this:\n\n```sh\nmake chat\n```"]


def test_prose_is_never_behind_a_fence_that_began_elsewhere() -> None:
    code = "```\n" + "print('a line of code')\n" * 200 + "```\n"
    text = f"# T\n\n{SENTENCE}\n\n{code}\n{SENTENCE}"
    outline = split(text, markdown=True)
    check(text, outline)
    assert [chunk.text for chunk in outline.chunks if "message" in chunk.text] == [SENTENCE.strip()] * 2
    assert all(len(chunk.text) <= LONGEST for chunk in outline.chunks)


def test_a_heading_alone_can_still_be_found() -> None:
    assert [chunk.text for chunk in split("# Only a title\n", markdown=True).chunks] == ["# Only a title"]


def test_plain_text_has_no_headings() -> None:
    outline = split("# not a title\n\ntext", markdown=False)
    assert (outline.title, [chunk.heading for chunk in outline.chunks]) == ("", [""])


def test_nothing_has_no_chunks() -> None:
    assert split(" \n\n", markdown=True) == Outline(title="", chunks=[])


def test_a_line_without_an_end_is_cut_in_time_that_grows_with_its_length() -> None:
    text = "word" * 500_000
    outline = split(text, markdown=True)
    check(text, outline)
    assert max(len(chunk.text) for chunk in outline.chunks) <= LONGEST


@given(st.text(alphabet="ab. #-`~|>\n\r\t=é消。*", max_size=3000), st.booleans())
def test_any_text_is_cut_into_exact_places_without_losing_a_word(text: str, markdown: bool) -> None:
    check(text, split(text, markdown=markdown))


@given(st.text(alphabet="ab. \n\r消。", max_size=3000))
def test_no_word_of_a_plain_text_is_lost(text: str) -> None:
    chunks = split(text, markdown=False).chunks
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


def test_a_rule_hides_nothing() -> None:
    chunks = split("---\n\nThe wifi password.\n\n---\n\nThe gate code.\n", markdown=True).chunks
    assert "wifi" in "".join(chunk.text for chunk in chunks)


def test_a_text_of_headings_alone_makes_chunks_that_are_bounded_by_its_length() -> None:
    text = "# a\nb\n" * 20_000
    assert len(split(text, markdown=True).chunks) < len(text) / 100


def test_a_heading_that_is_as_long_as_the_text_is_cut() -> None:
    text = "# T\n\n## " + "word " * 20_000 + "\n\n" + (SENTENCE * 10 + "\n\n") * 20
    assert max(len(chunk.heading) for chunk in split(text, markdown=True).chunks) <= PATH


def test_the_paths_of_all_chunks_together_are_bounded_by_the_text() -> None:
    text = f"# T\n\n## {'word ' * 25}\n\n### {'word ' * 25}\n\n" + "".join(
        f"#### {n}\n\n{'aa bb ' * 40}\n\n" for n in range(800)
    )
    paths = [chunk.heading for chunk in split(text, markdown=True).chunks]
    assert len(text) // PATHS_PART < sum(map(len, paths)) <= PATHS + len(text) // PATHS_PART


def test_code_at_the_beginning_of_a_chunk_keeps_its_indentation() -> None:
    outline = split("# Title\n\n## What next\n\n    make chat   # opens a talk\n    make test\n", markdown=True)
    (chunk,) = [chunk for chunk in outline.chunks if "make" in chunk.text]
    assert chunk.text == "    make chat   # opens a talk\n    make test"


WAY = "d91f9bc7ab606663"
"""A digest of how the sample below is cut."""


def test_documents_are_cut_anew_if_the_way_of_cutting_changes() -> None:
    """If this fails, add a migration like `migrations/0003.sql`, then change `WAY`.

    Without it, documents that were read before keep the chunks of the way before.
    """
    code = "```\n" + "wait_for(daemon)\n" * 60 + "```\n"
    table = "| key | meaning |\n|---|---|\n" + "| grace | how long a turn may take |\n" * 30
    chinese = "\u6d77\u72ee\u5728\u5c9b\u4e0a\u7761\u89c9\u3002" * 80
    sample = (
        f"---\ntitle: Sample\n---\n# Guide\n\n{SENTENCE * 30}\n\nA crumb.\n\n## Code\n\n{SENTENCE}\n\n{code}\n"
        f"### Table\n\n{table}\n## {'Long ' * 80}\n\n- {SENTENCE}\n- {SENTENCE * 9}\n\n{chinese}"
    )
    spans = [
        (outline.title, chunk.heading, chunk.start, chunk.end)
        for outline in (split(sample, markdown=True), split(sample, markdown=False))
        for chunk in outline.chunks
    ]
    assert hashlib.sha256(repr(spans).encode()).hexdigest()[:16] == WAY
