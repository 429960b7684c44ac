"""Where a call may begin, decided early."""

from __future__ import annotations

import pytest

from agentd.evidence.call_openings import Opening, opening, value_begins
from tests.raw_calls import OFFERED, RAW

CALLS = {name: raw for name, raw in RAW.items() if raw.calls and not raw.text}


@pytest.mark.parametrize("says", [raw.says for raw in CALLS.values()], ids=CALLS.keys())
def test_until_it_is_decided_a_call_is_never_taken_for_text(says: str) -> None:
    verdicts = [opening(says[:size], 0, OFFERED) for size in range(len(says) + 1)]
    assert "no" not in verdicts and isinstance(verdicts[-1], Opening)


def test_a_beginning_is_decided_as_soon_as_it_can_be() -> None:
    for size, known in enumerate(("unsure",) * 9):
        assert opening('{"name": '[:size], 0, OFFERED) == known
    assert opening('{"name": "calculate"', 0, OFFERED) == Opening(start=0, closes="")
    assert opening('{"name": "Ada", "b"', 0, OFFERED) == "no"
    assert opening("```json\n  current_time(", 0, OFFERED) == Opening(start=10, closes="```")
    assert opening("current_t", 0, OFFERED) == "unsure"
    assert opening("currently", 0, OFFERED) == "no"
    assert opening("\n" * 300 + "{", 0, OFFERED) == "no"


def test_behind_a_mark_only_a_value_is_looked_for() -> None:
    assert value_begins(' {"name": "now"}', 0, OFFERED) == "no", "it is neither offered nor has it arguments"
    assert value_begins(' {"name": "now"}', 0, OFFERED, marked=True) == "yes"
    assert value_begins(' {"name": "now", "arguments": {', 0, OFFERED) == "yes"
    assert value_begins(" ```", 0, OFFERED, marked=True) == "no"
