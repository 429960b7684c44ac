"""Turns that were left: who waits for what, and which decision counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agentd.events import ToolCallApproved, ToolCallDenied, TurnWaiting
from agentd.turns.left import LeftTurns
from tests.builders import IDS, SESSION, TIME


def stamp(turn_id: str = "t") -> dict[str, Any]:
    return {"id": IDS.next(), "time": TIME, "turn_id": turn_id, "session_id": SESSION}


def waiting(call_id: str = "a", *, turn_id: str = "t", seconds: float = 60) -> TurnWaiting:
    return TurnWaiting(**stamp(turn_id), call_id=call_id, what="may it?", until=TIME + timedelta(seconds=seconds))


def approved(call_id: str = "a", *, turn_id: str = "t") -> ToolCallApproved:
    return ToolCallApproved(**stamp(turn_id), call_id=call_id, by="me")


def denied(call_id: str = "a") -> ToolCallDenied:
    return ToolCallDenied(**stamp(), call_id=call_id, by="me", reason="no")


def test_the_first_decision_counts_and_the_turn_is_left_until_it_is_taken() -> None:
    left = LeftTurns()
    left.leave(waiting())
    assert SESSION in left and left.take(SESSION) is None
    assert left.decide(approved()) and not left.decide(denied())
    assert SESSION in left and left.take(SESSION) == "t"
    assert SESSION not in left and left.take(SESSION) is None


def test_a_decision_on_something_else_changes_nothing() -> None:
    left = LeftTurns()
    assert not left.decide(approved())
    left.leave(waiting())
    assert not left.decide(approved("b")) and not left.decide(approved(turn_id="u"))
    assert left.over(TIME + timedelta(seconds=60))


def test_a_turn_can_be_stopped_while_it_waits_and_when_it_may_go_on() -> None:
    left = LeftTurns()
    left.leave(waiting())
    assert not left.stop(SESSION, "u") and SESSION in left
    assert left.stop(SESSION, "t") and not left.stop(SESSION, "t") and not left.decide(approved())
    left.leave(waiting())
    left.decide(approved())
    assert not left.stop(SESSION, "u") and left.stop(SESSION, "t") and left.take(SESSION) is None


def test_waits_are_over_at_their_time() -> None:
    left = LeftTurns()
    assert left.until() is None
    wait = waiting()
    left.leave(wait)
    assert left.until() == wait.until
    assert left.over(wait.until - timedelta(seconds=1)) == [] and left.over(wait.until) == [wait]
