from __future__ import annotations

import pytest

from agentd.delivery.decisions import duration


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (60, "1 min"), (3 * 3600, "3 h"), (24 * 3600, "1 d"), (7 * 86400, "7 d")]
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
