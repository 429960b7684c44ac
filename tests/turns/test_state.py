"""What a turn has done and whether it waits, event by event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.events import (
    Buried,
    DocumentsRetrieved,
    Event,
    ToolCallApproved,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallStarted,
    ToolCallSucceeded,
    ToolsCalled,
    TurnInterrupted,
    TurnStarted,
    TurnWaiting,
)
from agentd.records import CalledTool
from agentd.turns.state import BEGUN, Call, Round, TurnState, rebuilt, reduce
from tests.builders import IDS, SESSION, TIME, inbound, outbound, passage

ASKED = inbound()


def stamp() -> dict[str, Any]:
    return {"id": IDS.next(), "time": TIME, "turn_id": ASKED.turn_id, "session_id": SESSION}


def called(*ids: str, said: str = "") -> Event:
    calls = tuple(CalledTool(call_id=one, tool="send", arguments="{}") for one in ids)
    return ToolsCalled(**stamp(), said=said, calls=calls)


def waiting(call_id: str = "a") -> TurnWaiting:
    return TurnWaiting(**stamp(), call_id=call_id, what="may it?", until=TIME)


def approved(call_id: str = "a") -> Event:
    return ToolCallApproved(**stamp(), call_id=call_id, by="me")


def denied(call_id: str = "a") -> Event:
    return ToolCallDenied(**stamp(), call_id=call_id, by="me", reason="no")


def started(call_id: str = "a") -> Event:
    return ToolCallStarted(**stamp(), call_id=call_id)


def succeeded(call_id: str = "a", result: str = "sent") -> Event:
    return ToolCallSucceeded(**stamp(), call_id=call_id, result=result)


def failed(call_id: str = "a", code: str = "tool") -> Event:
    return ToolCallFailed(**stamp(), call_id=call_id, error="broken", code=code)


def found(*numbers: int, question: str = "") -> Event:
    return DocumentsRetrieved(**stamp(), passages=tuple(passage(n) for n in numbers), question=question)


def answered() -> Event:
    return outbound(ASKED)


def call(**changes: Any) -> Call:
    return Call(**{"call_id": "a", "tool": "send", "arguments": "{}", **changes})


CASES: dict[str, tuple[list[Event], Call]] = {
    "a call is not begun": ([called("a")], call()),
    "a call that changes something is noted to have begun": ([called("a"), started()], call(started=True)),
    "a call has a result": ([called("a"), succeeded()], call(result="sent")),
    "a call that failed has an error to read": ([called("a"), failed()], call(result="Error: broken", code="tool")),
    "of two results the first counts": ([called("a"), succeeded(), failed()], call(result="sent")),
    "nothing begins that is over": ([called("a"), succeeded(), started()], call(result="sent")),
    "an approval is for a call that waits": ([called("a"), approved()], call()),
    "an approved call may run": ([called("a"), waiting(), approved()], call(approved=True)),
    "a denied call is over": ([called("a"), waiting(), denied()], call(result="Error: no", code="denied")),
    "of two decisions the first counts": ([called("a"), waiting(), approved(), denied("b")], call(approved=True)),
    "a denial after it is no decision any more": (
        [called("a"), waiting(), denied(), approved()],
        call(result="Error: no", code="denied"),
    ),
    "a decision on another call changes nothing": ([called("a", "b"), waiting("b"), approved()], call()),
    "the same calls are made once": ([called("a"), succeeded(), called("a")], call(result="sent")),
}


@pytest.mark.parametrize(("events", "expected"), CASES.values(), ids=CASES)
def test_what_becomes_of_a_call(events: list[Event], expected: Call) -> None:
    assert rebuilt(events).call("a") == expected


PHASES: dict[str, tuple[list[Event], str]] = {
    "it begins running": ([], "running"),
    "calls do not stop it": ([called("a"), started(), succeeded()], "running"),
    "it waits for a call": ([called("a"), waiting()], "waiting"),
    "it waits for no call that it has not made": ([called("a"), waiting("b")], "running"),
    "it waits for no call that runs": ([called("a"), started(), waiting()], "running"),
    "it waits for no call that is over": ([called("a"), succeeded(), waiting()], "running"),
    "it goes on when it was approved": ([called("a"), waiting(), approved()], "running"),
    "it goes on when it was denied": ([called("a"), waiting(), denied()], "running"),
    "it goes on when somebody else ended the call": ([called("a"), waiting(), succeeded()], "running"),
    "it waits for one call at a time": ([called("a", "b"), waiting("a"), waiting("b"), approved("b")], "waiting"),
    "a request to stop does not end it": (
        [called("a"), waiting(), TurnInterrupted(**stamp(), reason="stopped")],
        "waiting",
    ),
    "its answer ends it": ([called("a"), waiting(), answered()], "ended"),
    "it ends when it is buried": ([Buried(**stamp(), dead_id=ASKED.id, reason="poison")], "ended"),
    "nothing begins it again": (
        [answered(), called("a"), waiting(), TurnStarted(**stamp(), attempt=2)],
        "ended",
    ),
}


@pytest.mark.parametrize(("events", "phase"), PHASES.values(), ids=PHASES)
def test_a_turn_runs_waits_or_has_ended(events: list[Event], phase: str) -> None:
    assert rebuilt(events).phase == phase


def test_for_what_and_until_when_it_waits() -> None:
    wait = waiting()
    assert rebuilt([called("a"), wait]).waiting == wait


def test_rounds_keep_their_order_and_what_was_said() -> None:
    state = rebuilt([called("a", "b", said="Let me see."), succeeded("b"), called("c", said="And now.")])
    assert [[one.call_id for one in each.calls] for each in state.rounds] == [["a", "b"], ["c"]]
    assert state.said == "Let me see.\n\nAnd now."


def test_a_round_knows_whether_it_changed_something_and_was_misunderstood() -> None:
    assert [each.changed for each in rebuilt([called("a", "b"), started("b"), called("c")]).rounds] == [True, False]
    wrong = rebuilt([called("a", "b"), failed("b", "tool_call")]).rounds[0].misunderstood
    assert wrong is not None and wrong.call_id == "b"
    assert Round(said="", calls=(call(code="unknown"),)).misunderstood is None


def test_what_was_looked_up_is_told_from_what_tools_found() -> None:
    state = rebuilt([found(1, 2, question="otters"), called("a"), found(2, 3), found(4, question="late")])
    assert state.question == "otters"
    assert ([one.n for one in state.passages], [one.n for one in state.found]) == ([1, 2], [3])


UNMOVED: list[Event] = [
    TurnStarted(**stamp(), attempt=2),
    ToolCallRequested(**stamp(), call_id="a", tool="send", arguments={}),
    succeeded("nobody knows it"),
    approved(),
    called(),
    found(),
    inbound(),
]


@pytest.mark.parametrize("event", UNMOVED, ids=lambda event: event.type)
def test_an_event_that_changes_nothing_gives_the_same_state(event: Event) -> None:
    state = rebuilt([called("a")])
    assert reduce(state, event) is state


MAKERS = [
    lambda: called("a", "b"),
    lambda: called("c"),
    *(lambda make=make, one=one: make(one) for one in "abc" for make in (waiting, approved, denied, started)),
    *(lambda make=make, one=one: make(one) for one in "abc" for make in (succeeded, failed)),
    lambda: found(1, question="otters"),
    lambda: found(2),
    answered,
]


@given(st.lists(st.sampled_from(MAKERS).map(lambda make: make()), max_size=30))
def test_every_state_has_a_way_out_and_what_is_over_stays_over(events: list[Event]) -> None:
    state: TurnState = BEGUN
    for event in events:
        before, state = state, reduce(state, event)
        for each in before.rounds:
            for one in each.calls:
                after = state.call(one.call_id)
                assert after is not None and (one.result is None or after == one) and one.started <= after.started
        if before.phase == "ended":
            assert state is before
    if state.waiting is not None:
        assert reduce(state, denied(state.waiting.call_id)).phase == "running"
    assert reduce(state, answered()).phase == "ended"
    assert rebuilt(events) == state
