"""Markdown becomes what a reader would say aloud, also where a piece begins in the middle of a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.text.markup import Block, blocks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Some *plain* **prose** with a [link](http://x.y/z).", [("prose", "Some plain prose with a link.")]),
        ("two\nlines", [("prose", "two lines")]),
        ("- one\n- two `code`", [("item", "one"), ("item", "two `code`")]),
        ("1. first\n2. second", [("item", "first"), ("item", "second")]),
        ("## Head\n\ntext", [("heading", "Head"), ("prose", "text")]),
        ("> quoted", [("prose", "quoted")]),
        ("    an indented line of a plain text", [("prose", "an indented line of a plain text")]),
        ("![a picture](x.png) shows", [("prose", "a picture shows")]),
        ("snake_case_name stays, [1] too", [("prose", "snake_case_name stays, [1] too")]),
        ("a \\* b", [("prose", "a * b")]),
        ("<b>tags</b> are text", [("prose", "<b>tags</b> are text")]),
        ("", []),
    ],
)
def test_each_block_is_one_plain_line(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(block.kind, block.text) for block in blocks(text)] == expected


def test_a_table_is_its_rows() -> None:
    table = "| Key | Default |\n|---|---|\n| `grace` | 10 s |\n| size | 3 |"
    assert [(block.kind, block.text) for block in blocks(table)] == [
        ("heading", "Key: Default"),
        ("row", "`grace`: 10 s"),
        ("row", "size: 3"),
    ]


def test_rows_without_the_head_of_their_table_are_rows() -> None:
    assert [block.text for block in blocks("| grace | 10 s | seconds |\n|---|---|---|\n| size | **3** |")] != []
    assert blocks("| size | **3** | files |") == [Block(kind="row", text="size: 3, files")]


def test_code_stays_whole() -> None:
    text = "Run this:\n\n```sh\nmake chat\n\nmake test\n```\nDone."
    assert [block.text for block in blocks(text)] == ["Run this:", "```sh\nmake chat\n\nmake test\n```", "Done."]


@given(st.text(alphabet="ab |-#*_`[]()!>\n\\", max_size=200))
def test_any_text_has_blocks_that_say_something(text: str) -> None:
    for block in blocks(text):
        assert block.text
        assert block.kind == "code" or "\n" not in block.text


def test_a_paragraph_that_consists_of_marks_is_taken_as_it_stands() -> None:
    text = "*a* " * 500
    assert [block.text for block in blocks(text)] == [text.strip()]


def test_a_long_text_is_read_in_pieces_without_losing_a_block() -> None:
    text = "\n\n".join(f"Paragraph {n} is *here*.\n\n```\ncode {n}\n\nmore\n```" for n in range(1000))
    found = blocks(text)
    assert [block.text for block in found if block.kind == "prose"] == [f"Paragraph {n} is here." for n in range(1000)]
    assert sum(block.kind == "code" for block in found) == 1000


def test_short_rows_below_a_wide_head_make_no_cells_without_end() -> None:
    assert len("".join(block.text for block in blocks("|a" * 60 + "|\n" + "|-" * 60 + "|\n" + "|a\n" * 1000))) < 5000
