"""Splitting Markdown that grows: nothing is lost, nothing depends on how it arrives, and a block appears early."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.cli.repl.blocks import WINDOW, Blocks

ANSWER = """# Crash

A message *survives* [1].
Really.

- one
- two
  more of two

  - nested
- three

| a | b |
|---|---|
| 1 | 2 |

```python
def f():

    return 1
```
> quoted
> more

1. first
2. second

The end."""


def split(pieces: list[str]) -> list[str]:
    blocks = Blocks()
    finished = [block for piece in pieces for block in blocks.feed(piece)]
    return [*finished, *blocks.finish()]


def bare(blocks: list[str]) -> list[str]:
    """Without the blank lines around them."""
    return [re.sub(r"\A(?:[ \t]*\n)+|\s+\Z", "", block) for block in blocks]


def test_each_block_and_each_item_stands_alone() -> None:
    assert [block.strip("\n") for block in split([ANSWER])] == [
        "# Crash",
        "A message *survives* [1].\nReally.",
        "- one",
        "- two\n  more of two\n\n  - nested",
        "- three",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "```python\ndef f():\n\n    return 1\n```",
        "> quoted\n> more",
        "1. first",
        "2. second",
        "The end.",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_the_blocks_do_not_depend_on_the_pieces(size: int) -> None:
    assert bare(split([ANSWER[n : n + size] for n in range(0, len(ANSWER), size)])) == bare(split([ANSWER]))


LINES = st.sampled_from(
    [
        *(
            "",
            "text",
            "- a",
            " - b",
            "  - c",
            "    d",
            "1. x",
            "3) y",
            "```",
            "~~~",
            "> q",
            "# h",
            "---",
            "===",
            "a | b",
        ),
        *("--|--", "\t", "   ", "[1]: http://x", "<div>", "* * *", "- ", "-", "|", "\\", "    - e", "`x", "a\u2028b"),
    ]
)


@given(st.lists(LINES, max_size=12), st.integers(1, 6))
def test_any_text_in_any_pieces_gives_the_same_blocks_and_loses_nothing(lines: list[str], size: int) -> None:
    text = "\n".join(lines)
    pieces = [text[n : n + size] for n in range(0, len(text), size)]
    blocks = split(pieces)
    assert "".join(blocks).rstrip() == text.rstrip()
    assert bare(blocks) == bare(split([text]))


@given(st.lists(LINES, max_size=40), st.integers(1, 60))
def test_windows_lose_nothing(lines: list[str], size: int) -> None:
    text = "\n".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{Blocks.__module__}.WINDOW", 40)
        assert "".join(split([text[n : n + size] for n in range(0, len(text), size)])).rstrip() == text.rstrip()


def test_a_long_text_is_the_same_blocks_at_once_and_in_pieces() -> None:
    text = f"{ANSWER}\n\n" * 1000
    blocks = split([text])
    assert len(text) > 3 * WINDOW
    assert bare(blocks) == bare(split([text[n : n + 999] for n in range(0, len(text), 999)]))
    assert len(blocks) == 11 * 1000


def test_a_block_that_is_longer_than_a_window_is_one_with_all_that_follows() -> None:
    long = "- a\n" + "  - b\n" * 60_000 + "\nThe end."
    begun = time.process_time()
    assert split(["# Long\n\n", long]) == ["# Long\n\n", long]
    assert split([long[n : n + 5000] for n in range(0, len(long), 5000)]) == [long]
    assert time.process_time() - begun < 10


def test_a_block_is_finished_by_a_blank_line_or_by_the_next_block() -> None:
    blocks = Blocks()
    assert blocks.feed("one\n\n") == ["one\n\n"]
    assert blocks.feed("- tw") == []
    assert blocks.feed("o\n\n") == []
    assert blocks.feed("- three\n") == ["- two\n\n"]
    assert blocks.open == "- three\n"


def test_an_open_fence_stays_open_until_it_is_closed() -> None:
    blocks = Blocks()
    assert blocks.feed("```\n# no heading\n\nstill code\n") == []
    assert blocks.feed("```\n\nafter\n") == ["```\n# no heading\n\nstill code\n```\n\n"]


def test_a_very_long_open_block_does_not_slow_down() -> None:
    blocks = Blocks()
    began = time.process_time()
    blocks.feed("```\n")
    for n in range(20_000):
        assert blocks.feed(f"line {n} of the code\n") == []
    assert blocks.feed("```\n") == []
    assert len(blocks.finish()) == 1
    assert time.process_time() - began < 10
