"""What reaches a terminal cannot control it."""

from __future__ import annotations

import pytest

from agentd.plain import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, \ttab\nand line", "plain text, \ttab\nand line"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("a\x9b31mb", "a31mb"),
        ("over\rwritten\x08\x7f", "overwritten"),
        ("left\u202eto right", "leftto right"),
        ("unfinished \x1b[3", "unfinished "),
        ("Grüße 世界 🙂", "Grüße 世界 🙂"),
    ],
)
def test_control_and_escape_sequences_are_removed(text: str, shown: str) -> None:
    assert plain(text) == shown
