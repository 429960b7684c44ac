"""Rendering: what a terminal shows of a block, at any width, and nothing that a model could smuggle in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from agentd.cli.repl import render
from agentd.records import Citation

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def bare(text: str) -> str:
    """The text without its colours, which must be the only escape sequences."""
    text = _COLOUR.sub("", text)
    assert "\x1b" not in text
    return text


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_heading_is_bold_and_a_mark_of_a_source_stands_out() -> None:
    assert render.block("## Crash\n\n", 80) == "\x1b[1mCrash\x1b[0m\n\n"
    assert "\x1b[1;36m[1]\x1b[0m" in render.block("It survives [1].", 80)
    assert "\x1b[1;36m[1]" not in render.block("`a[1]`", 80)


def test_a_blank_line_follows_where_one_follows_in_the_source() -> None:
    assert bare(render.block("- one\n", 80)) == " • one\n"
    assert bare(render.block("text\n\n", 80)) == "text\n\n"


def test_the_items_of_a_numbered_list_keep_their_numbers() -> None:
    assert bare(render.block("7. seven\n", 80)) == " 7 seven\n"


def test_code_is_highlighted_and_every_blank_is_kept() -> None:
    code = "```python\ndef f():\n    return  'a   b'\n```\n"
    assert bare(render.block(code, 80)) == "  def f():\n      return  'a   b'\n"
    assert "\x1b[" in render.block(code, 80)
    assert bare(render.block("```\n" + "x" * 50 + "\n```\n", 40)).split("\n") == ["  " + "x" * 38, "  " + "x" * 12, ""]


def test_a_table_is_aligned_and_shown_whole_on_a_narrow_terminal() -> None:
    table = "| name | value |\n|:--|--:|\n| a | 1 |\n| supercalifragilisticexpialidocious | 22 |\n"
    wide = bare(render.block(table, 80)).splitlines()
    assert [line.rstrip()[-2:] for line in wide] == ["ue", "──", " 1", "22"]
    narrow = bare(render.block(table, 20))
    assert all(cell_len(line) <= 20 for line in narrow.splitlines())
    assert "supercalifragilisticexpialidocious" in re.sub(r"[\s\d─]|name|value", "", narrow)


def test_nothing_of_the_source_vanishes() -> None:
    text = "<b>bold</b> ![picture](http://x/y.png) [link](http://z) [1]: http://w\n"
    shown = bare(render.block(text, 200))
    for part in ("<b>bold</b>", "picture", "http://x/y.png", "link", "http://z", "[1]: http://w"):
        assert part in shown
    assert "]8;" not in render.block(text, 200)


LINES = st.sampled_from(
    ["text [1]", "", "- a", "  - b", "1. x", "```py", "```", "> q", "# h", "|a|b|", "|-|-|", "**b", "`c`"]
)
ODD = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=30)


@given(st.lists(LINES | ODD, max_size=8), st.integers(10, 90))
@settings(max_examples=60, deadline=None)
def test_any_block_can_be_rendered_within_the_width(lines: list[str], width: int) -> None:
    for line in bare(render.block("\n".join(lines), width)).split("\n"):
        assert cell_len(line) <= width


@pytest.mark.parametrize("line", ["| c | d |\n", "  - b\n", "> a\n>\n"])
def test_a_block_that_would_hold_up_the_prompt_is_shown_as_it_was_written(line: str) -> None:
    block = "| a | b |\n|---|---|\n" + line * 150_000
    assert render.block(block + "\n", 80) == block + "\n"


def test_a_question_of_several_lines_is_marked_on_each() -> None:
    assert bare(render.asked("one\ntwo", 80)) == "> one\n… two\n"


def test_sources_are_a_line_each() -> None:
    citations = [Citation(n=n, title="T", source=f"/{n}.md", heading="H", start=0, end=1) for n in (1, 2)]
    assert bare(render.sources(citations, 80)) == "[1] /1.md, H\n[2] /2.md, H\n"
    assert render.sources([], 80) == ""


def test_the_tail_is_bounded_and_fast_however_long_the_block_is() -> None:
    assert bare(render.tail("one\n\ntwo\n\nthree", 80, 2)).split("\n") == ["", "three"]
    long = "```\n" + "\n".join(f"line {n}" for n in range(100_000))
    assert bare(render.tail(long, 80, 3)).split("\n") == ["line 99997", "line 99998", "line 99999"]
