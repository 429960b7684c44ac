"""What turns took: added up for the status, and in words for a person."""

from __future__ import annotations

import pytest

from agentd.records import TurnUsage
from agentd.status.usage import UsageTotals, reading_line, usage_line
from tests.builders import inbound, outbound

USAGE = TurnUsage(
    prompt_tokens=812,
    cached_tokens=22,
    completion_tokens=64,
    read_seconds=6.53,
    write_seconds=5.8,
    first_text_seconds=6.52,
    seconds=12.4,
)


def test_a_person_reads_tokens_with_their_speeds() -> None:
    assert usage_line(USAGE) == "812 tokens read (790 new) at 121/s, 64 written at 11/s, first text after 6.5 s"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cached_tokens": 0}, "812 tokens read at 124/s, 64 written at 11/s, first text after 6.5 s"),
        ({"cached_tokens": 812}, "812 tokens read (0 new), 64 written at 11/s, first text after 6.5 s"),
        ({"write_seconds": 20}, "812 tokens read (790 new) at 121/s, 64 written at 3.2/s, first text after 6.5 s"),
        ({"read_seconds": 0, "write_seconds": 0, "first_text_seconds": 0}, "812 tokens read (790 new), 64 written"),
    ],
)
def test_what_is_not_known_is_left_out(changes: dict[str, float], line: str) -> None:
    assert usage_line(USAGE.model_copy(update=changes)) == line


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (800, 2100, 40.2, "reading 800 of 2,100 tokens, about 40 s"),
        (0, 2100, 40.2, "reading 2,100 tokens, about 40 s"),
        (800, 2100, None, "reading 800 of 2,100 tokens"),
        (2000, 2100, 0.1, "reading 2,000 of 2,100 tokens, about 1 s"),
        (0, 90_000, 750, "reading 90,000 tokens, about 12 min"),
    ],
)
def test_a_person_is_told_how_long_reading_takes(done: int, total: int, seconds: float | None, line: str) -> None:
    assert reading_line(done, total, seconds) == line


def test_what_answers_took_is_added_up_where_the_model_tells_its_times() -> None:
    totals = UsageTotals()
    totals.apply(inbound())
    totals.apply(outbound())
    totals.apply(outbound(usage=TurnUsage(prompt_tokens=9, completion_tokens=9)))
    assert totals.answers == 0
    for _ in range(2):
        totals.apply(outbound(usage=USAGE))
    assert (totals.answers, totals.total.prompt_tokens, totals.total.completion_tokens) == (2, 1624, 128)
    assert totals.total.read_seconds == pytest.approx(13.06)
