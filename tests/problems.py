"""Checks the problems of a configuration by their places and names, whatever the words between these."""

from __future__ import annotations

import re
from collections.abc import Sequence


def check_problems(told: Sequence[str], *expected: tuple[str, ...]) -> None:
    """Each problem that is told begins with its place and holds these texts in this order; there are no others."""
    assert len(told) == len(expected), told
    for problem, (place, *texts) in zip(told, expected, strict=True):
        assert problem.startswith(f"{place}: "), problem
        assert re.search(".*".join(map(re.escape, texts)), problem.removeprefix(place)), (problem, texts)
