"""The state of a conversation follows from its events."""

from __future__ import annotations

import time

from agentd.events import (
    Buried,
    Event,
    InboundEvent,
    OutboundEvent,
    StopRequested,
    ToolCallApproved,
    ToolCallDenied,
    TurnInterrupted,
    TurnPlaced,
    TurnStarted,
    TurnWaiting,
)
from agentd.ports.conversation import IDLE, Conversation, Said
from agentd.ports.work import PendingTurn
from agentd.turns.conversation import Conversations, position, reduce
from tests.builders import IDS, SESSION, TIME, address, chunk, inbound, outbound


def started(event: InboundEvent, attempt: int = 1) -> TurnStarted:
    return TurnStarted(id=IDS.next(), time=TIME, turn_id=event.id, session_id=SESSION, attempt=attempt)


def after(*events: Event, state: Conversation = IDLE) -> Conversation:
    for event in events:
        state = reduce(state, event)
    return state


def test_messages_wait_in_order_and_run_one_at_a_time() -> None:
    first, second, third = inbound(), inbound(), inbound()
    state = after(first, second, third)
    assert state.waiting == (first.id, second.id, third.id)
    assert position(state, third.id) == 3
    state = after(started(first), state=state)
    assert (state.running, state.waiting) == (first.id, (second.id, third.id))
    state = after(outbound(first), state=state)
    assert (state.running, state.waiting) == ("", (second.id, third.id))
    assert position(state, first.id) == 0


def test_the_same_message_twice_waits_once() -> None:
    event = inbound()
    assert after(event, event).waiting == (event.id,)
    assert after(event, started(event), event).waiting == ()


def test_what_was_said_follows_the_chunks_of_the_attempt() -> None:
    event = inbound()
    state = after(event, started(event), chunk(0, "Hel", turn_id=event.id), chunk(3, "lo", turn_id=event.id))
    assert str(state.said) == "Hello"
    assert after(chunk(0, "old", turn_id=event.id, attempt=7), state=state) == state
    assert after(chunk(0, "thinking", turn_id=event.id, reasoning=True), state=state) == state
    assert after(started(event, attempt=2), state=state).said == Said()


def test_a_text_that_grew_stays_what_it_was_and_may_grow_twice() -> None:
    said = Said().put(0, "Hel")
    one, two = said.put(3, "lo"), said.put(3, "p")
    assert [str(text) for text in (said, one, two, one.put(2, "y"), one.put(5, "!"), Said())] == [
        "Hel",
        "Hello",
        "Help",
        "Hey",
        "Hello!",
        "",
    ]
    assert one == Said("Hello") and hash(one) == hash(Said("Hello")) and one != "Hello"


def test_a_long_answer_in_small_pieces_costs_what_is_added() -> None:
    def seconds(count: int) -> float:
        said, began = Said(), time.process_time()
        for n in range(count):
            said = said.put(5 * n, "word ")
        assert len(str(said)) == 5 * count
        return time.process_time() - began

    seconds(1000)
    assert seconds(200_000) < 0.05 + 12 * seconds(50_000)


def test_one_answer_ends_every_turn_that_it_names() -> None:
    first, second, third = inbound(), inbound(), inbound()
    state = after(first, second, third, started(first))
    answer: OutboundEvent = outbound(first, answers=(first.id, second.id))
    assert after(answer, state=state) == Conversation(waiting=(third.id,))


def test_a_turn_that_is_stopped_stays_running_until_it_has_ended() -> None:
    event = inbound()
    stop = TurnInterrupted(id=IDS.next(), time=TIME, turn_id=event.id, session_id=SESSION, reason="user")
    state = after(event, started(event), stop)
    assert state.stopping and state.running == event.id
    assert after(outbound(event, outcome="interrupted"), state=state) == IDLE


def test_a_buried_message_waits_no_more() -> None:
    event = inbound()
    buried = Buried(id=IDS.next(), time=TIME, turn_id=event.id, session_id=SESSION, dead_id=event.id, reason="r")
    assert after(event, buried) == IDLE


def test_idle_sessions_take_no_memory() -> None:
    conversations = Conversations()
    event = inbound()
    conversations.apply(event)
    assert list(conversations.busy()) == [SESSION]
    conversations.apply(outbound(event))
    assert not conversations.busy()
    assert conversations.of(SESSION) is IDLE


def test_unanswered_turns_of_an_earlier_process_wait_first() -> None:
    conversations = Conversations()
    found = [
        PendingTurn(id=id, kind="message", session_id=SESSION, dedupe_key="", address=address()) for id in ("a", "b")
    ]
    conversations.recover(found)
    new = inbound()
    conversations.apply(new)
    assert conversations.of(SESSION).waiting == ("a", "b", new.id)
    assert conversations.newest() == {SESSION: max("b", new.id)}
    assert list(conversations.busy()) == [SESSION]


def test_a_stop_holds_from_the_moment_the_turn_has_its_place_until_it_ends() -> None:
    event = inbound()
    placed = after(event, TurnPlaced(turn_id=event.id, session_id=SESSION))
    assert (placed.placed, placed.running, placed.waiting) == (event.id, "", (event.id,))
    asked = after(StopRequested(turn_id=event.id, session_id=SESSION), state=placed)
    running = after(started(event), state=asked)
    assert asked.stopping and running.stopping and (running.running, running.placed) == (event.id, "")
    assert after(started(event, attempt=2), state=running).stopping
    assert after(outbound(event), state=running) == after(outbound(event), state=asked) == IDLE
    assert not after(StopRequested(turn_id="another", session_id=SESSION), state=placed).stopping


def test_the_first_decision_on_the_call_that_a_turn_waits_for_is_kept_until_the_turn_goes_on() -> None:
    event = inbound()
    turn = {"turn_id": event.id, "session_id": SESSION}
    wait = TurnWaiting(**turn, call_id="a", what="may it?", until=TIME)
    approved, denied = (
        ToolCallApproved(**turn, call_id="a", by="me"),
        ToolCallDenied(**turn, call_id="b", by="me", reason=""),
    )
    left = after(event, started(event), approved, wait)
    assert (left.running, left.wait, left.decision) == (event.id, wait, None)
    assert after(denied, approved.model_copy(update={"turn_id": "another"}), state=left) == left
    decided = after(approved, denied.model_copy(update={"call_id": "a"}), state=left)
    assert decided.decision == approved
    assert after(wait.model_copy(update={"call_id": "b"}), state=decided).decision is None
    on = after(started(event, attempt=2), state=decided)
    assert (on.wait, on.decision) == (None, None)
    assert after(outbound(event), state=decided) == IDLE
