"""Markdown becomes what a reader would say aloud, also where a piece begins in the middle of a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.text.markup import Block, blocks, table_head, tables_told, told


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
    head = ("Key", "Default")
    assert blocks(table) == [
        Block(kind="row", text="`grace`: 10 s", cells=("`grace`", "10 s"), head=head),
        Block(kind="row", text="size: 3", cells=("size", "3"), head=head),
    ]


def test_rows_without_the_head_of_their_table_are_rows() -> None:
    assert [block.text for block in blocks("| grace | 10 s | seconds |\n|---|---|---|\n| size | **3** |")] != []
    assert blocks("| size | **3** | files |") == [
        Block(kind="row", text="size: 3, files", cells=("size", "3", "files"))
    ]


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


def test_a_bar_that_is_escaped_parts_no_cells() -> None:
    (row,) = blocks("| `/delete [NAME\\|ID]` | deletes |")
    assert row.cells == ("`/delete [NAME|ID]`", "deletes")


def test_what_is_indented_is_code_in_markdown_alone() -> None:
    text = "Then run:\n\n    make chat   # a talk\n    make test\n\nDone."
    assert [block.text for block in blocks(text, markdown=True)] == [
        "Then run:",
        "```\nmake chat   # a talk\nmake test\n```",
        "Done.",
    ]
    assert "code" not in {block.kind for block in blocks(text)}


def test_the_rest_of_a_list_item_at_the_beginning_is_no_code() -> None:
    assert [block.kind for block in blocks("    The rest of an item.\n\nMore.", markdown=True)] == ["item", "prose"]
    assert [block.kind for block in blocks("    $ make chat\n\nMore.", markdown=True)] == ["code", "prose"]


TABLE = "| key | default | meaning |\n|---|---|---|\n| `grace` | 20 s | how long |\n| `size` | | a \\| b |\n"


def test_a_text_that_begins_within_a_table_has_its_head_again() -> None:
    at = TABLE.index("| `size`")
    assert table_head(f"# Settings\n\n{TABLE}", len("# Settings\n\n") + at) == "| key | default | meaning |"
    (row,) = blocks(TABLE[at:], head="| key | default | meaning |")
    assert (row.cells, row.head) == (("`size`", "", "a | b"), ("key", "default", "meaning"))
    assert table_head(TABLE, 0) == "" and table_head("| a |\n| b |\n| c |", 12) == "" and table_head("a\nb", 2) == ""


@pytest.mark.parametrize(
    ("cells", "head", "said"),
    [
        (
            ["`grace`", "20 s", "how long"],
            ["key", "default", "meaning"],
            "`grace` \u2014 default: 20 s; meaning: how long",
        ),
        (["78", "wrong"], ["code", "meaning"], "code 78: wrong"),
        (["turn", "one message"], ["word", "meaning"], "turn: one message"),
        (["`size`", "", "a"], ["key", "default", "meaning"], "`size`: a"),
        (["a", "b", "c"], [], "a \u2014 b; c"),
        (["a"], ["key"], "a"),
        (["", ""], ["", ""], ""),
    ],
)
def test_a_row_is_told_with_what_its_columns_are_called(cells: list[str], head: list[str], said: str) -> None:
    assert told(cells, head) == said


def test_a_text_is_told_with_its_tables() -> None:
    rows = ["`grace` \u2014 default: 20 s; meaning: how long", "`size`: a | b"]
    assert tables_told(f"Settings:\n\n{TABLE}\nEnd.").split("\n") == ["Settings:", "", *rows, "", "End."]
    assert tables_told("| `b` | 1 | c |", "| key | default | meaning |") == "`b` \u2014 default: 1; meaning: c"
    assert tables_told("| a | b |\nno table") == "| a | b |\nno table"
