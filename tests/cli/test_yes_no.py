"""What counts as a yes, as a no, and as neither."""

from __future__ import annotations

import pytest

from agentd.cli.yes_no import yes_or_no


@pytest.mark.parametrize(
    ("text", "default", "answer"),
    [
        ("y", False, True),
        (" YES ", False, True),
        ("n", True, False),
        ("No", True, False),
        ("", True, True),
        (" ", False, False),
        ("yes please", True, None),
        ("what?", False, None),
    ],
)
def test_only_yes_and_no_are_answers(text: str, default: bool, answer: bool | None) -> None:
    assert yes_or_no(text, default=default) is answer
