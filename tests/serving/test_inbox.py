"""The door: what is refused, what is recognised, what is accepted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentd.bus.bus import EventBus
from agentd.errors import Busy, IdReused, NotAccepted, NotFound, UsageError
from agentd.events import InboundEvent, Kind, StopRequested, TurnPlaced, TurnStarted
from agentd.records import MOST_TERMS, OWNER, CalledTool, Principal, SaidMessage, Terms
from agentd.serving.inbox import DurableInbox, dedupe_key
from agentd.serving.protocol import MAX_TEXT_BYTES
from agentd.serving.receipts import Receipts
from agentd.testing.pending import MemoryPending
from agentd.turns.conversation import Conversations
from tests.builders import SESSION, inbound, offer, outbound
from tests.fakes import MemoryTurns
from tests.unfinished import unfinished

OTHER_SESSION = "00000000000000bb-00000000"


class House:
    def __init__(self, pending: MemoryPending | None = None, turns: MemoryTurns | None = None, limit: int = 3) -> None:
        self.pending = pending or MemoryPending()
        self.turns = turns or MemoryTurns()
        self.conversations = Conversations()
        self.bus = EventBus(self.pending, [self.conversations.apply])
        self.inbox = DurableInbox(
            bus=self.bus,
            receipts=Receipts(self.pending, self.turns),
            sessions=self.turns,
            conversations=self.conversations,
            queue_limit=limit,
        )

    async def event(self, turn_id: str) -> InboundEvent:
        event = await self.pending.load(turn_id)
        assert isinstance(event, InboundEvent)
        return event


async def test_an_accepted_message_is_on_disk_with_all_that_came_with_it() -> None:
    house = House()
    receipt = await house.inbox.accept(offer("hello", message_id="m1"))
    event = await house.event(receipt.id)
    assert (event.text, event.turn_id, event.session_id) == ("hello", receipt.id, SESSION)
    assert not receipt.duplicate


async def test_the_terms_of_a_message_are_on_disk_with_it_and_are_part_of_what_it_is() -> None:
    house = House()
    terms = Terms(plain=True, before=(SaidMessage(role="user", text="first"),))
    receipt = await house.inbox.accept(offer("hello", message_id="m", terms=terms))
    assert (await house.event(receipt.id)).terms == terms
    assert (await house.inbox.accept(offer("hello", message_id="m", terms=terms))).id == receipt.id
    with pytest.raises(IdReused):
        await house.inbox.accept(offer("hello", message_id="m", terms=Terms(before=terms.before)))


async def test_terms_that_are_too_long_are_refused_with_what_to_do() -> None:
    house = House()
    terms = Terms(before=(SaidMessage(role="user", text="x" * MOST_TERMS),))
    with pytest.raises(UsageError, match="leave out"):
        await house.inbox.accept(offer("hello", terms=terms))


CALL = CalledTool(call_id="c1", tool="weather", arguments="{}")
OUTPUT = SaidMessage(role="tool", text="rain", call_id="c1")
ASKED = (SaidMessage(role="user", text="first"), SaidMessage(role="assistant", text="1st"))
QUESTION = SaidMessage(role="user", text="Weather?")
CALLED = SaidMessage(role="assistant", text="Let me look.", calls=(CALL,))


async def handed_back(house: House) -> str:
    """A turn that handed a call back to its caller."""
    question = inbound("Weather?")
    await house.turns.finish(
        [question], outbound(question, "Let me look.", outcome="calls", calls=(CALL,), asked=(*ASKED, QUESTION))
    )
    return question.turn_id


@pytest.mark.parametrize(
    ("text", "given", "asked", "before", "after"),
    [
        ("", {"after": (OUTPUT,)}, "Weather?", ASKED, (CALLED, OUTPUT)),
        ("", {"before": (OUTPUT,)}, "Weather?", ASKED, (CALLED, OUTPUT)),
        ("And now?", {"before": (OUTPUT,)}, "And now?", (*ASKED, QUESTION, CALLED, OUTPUT), ()),
        (
            "",
            {"before": (SaidMessage(role="system", text="Be brief."),), "after": (OUTPUT,)},
            "Weather?",
            (SaidMessage(role="system", text="Be brief."), *ASKED),
            (CALLED, OUTPUT),
        ),
    ],
)
async def test_the_results_of_calls_go_on_with_the_turn_that_handed_them_back(
    text: str,
    given: dict[str, Any],
    asked: str,
    before: tuple[SaidMessage, ...],
    after: tuple[SaidMessage, ...],
) -> None:
    house = House()
    terms = Terms(resumes=await handed_back(house), continues=True, plain=True, **given)
    event = await house.event((await house.inbox.accept(offer(text, message_id="m", terms=terms))).id)
    assert event.text == asked
    assert event.terms == Terms(before=before, after=after, continues=True, plain=True)
    assert (await house.inbox.accept(offer(text, message_id="m", terms=terms))).duplicate


async def test_results_that_belong_to_no_calls_are_refused() -> None:
    house = House()
    turn = await handed_back(house)
    for terms in (Terms(resumes="unknown", after=(OUTPUT,)), Terms(resumes=turn, after=(OUTPUT,))):
        with pytest.raises(NotFound):
            await house.inbox.accept(offer("", session_id=OTHER_SESSION, terms=terms))
    wrong = Terms(resumes=turn, after=(OUTPUT.model_copy(update={"call_id": "c2"}),))
    with pytest.raises(UsageError, match="call_id"):
        await house.inbox.accept(offer("", terms=wrong))
    answered = inbound("hello")
    await house.turns.finish([answered], outbound(answered))
    with pytest.raises(NotFound):
        await house.inbox.accept(offer("", terms=Terms(resumes=answered.turn_id, after=(OUTPUT,))))
    assert not await unfinished(house.pending)


async def test_a_message_may_be_for_an_agent() -> None:
    house = House()
    receipt = await house.inbox.accept(offer("hello", message_id="m", agent="clerk"))
    event = await house.event(receipt.id)
    assert (event.kind, event.agent, event.text) == ("message", "clerk", "hello")
    again = await house.inbox.accept(offer("hello", message_id="m", agent="clerk"))
    assert again.duplicate and again.id == receipt.id
    for agent in ("", "cook"):
        with pytest.raises(IdReused):
            await house.inbox.accept(offer("hello", message_id="m", agent=agent))


@pytest.mark.parametrize("kind", ["command", "decision"])
async def test_what_nobody_can_carry_out_is_refused_at_once_and_not_accepted_and_buried_later(kind: Kind) -> None:
    house = House()
    with pytest.raises(UsageError, match=kind):
        await house.inbox.accept(offer("allow it", kind=kind))
    assert not await unfinished(house.pending)


async def test_the_same_message_offered_twice_is_one_turn() -> None:
    house = House()
    first = await house.inbox.accept(offer("hello", message_id="m1"))
    second = await house.inbox.accept(offer("hello", message_id="m1"))
    assert (second.id, second.duplicate, second.answer) == (first.id, True, None)
    assert len(await unfinished(house.pending)) == 1


async def test_offers_at_the_same_time_are_one_turn() -> None:
    house = House()
    receipts = await asyncio.gather(*(house.inbox.accept(offer("hello", message_id="m1")) for _ in range(10)))
    assert len({r.id for r in receipts}) == 1
    assert sum(not r.duplicate for r in receipts) == 1


async def test_a_message_is_recognised_after_a_restart() -> None:
    house = House()
    first = await house.inbox.accept(offer("hello", message_id="m1"))
    again = await House(house.pending.after_crash()).inbox.accept(offer("hello", message_id="m1"))
    assert (again.id, again.duplicate) == (first.id, True)


async def test_an_answered_message_gets_its_answer_without_a_second_turn() -> None:
    house = House()
    first = await house.inbox.accept(offer("hello", message_id="m1"))
    event = await house.event(first.id)
    answer = outbound(event)
    await house.turns.finish([event], answer)
    await house.pending.answer(answer)
    for owed in (True, False):
        again = await house.inbox.accept(offer("hello", message_id="m1"))
        assert (again.id, again.duplicate, again.answer) == (first.id, True, answer)
        if owed:
            await house.pending.ack(first.id)
    assert not await unfinished(house.pending)


async def test_the_same_id_with_other_content_is_an_error_before_and_after_the_answer() -> None:
    house = House()
    first = await house.inbox.accept(offer("hello", message_id="m1"))
    with pytest.raises(IdReused):
        await house.inbox.accept(offer("other", message_id="m1"))
    event = await house.event(first.id)
    await house.turns.finish([event], outbound(event))
    await house.pending.answer(outbound(event))
    with pytest.raises(IdReused):
        await house.inbox.accept(offer("other", message_id="m1"))


def test_the_key_of_a_message_is_its_place_and_its_id() -> None:
    same = offer(message_id="m")
    assert dedupe_key(same) == dedupe_key(offer("another text", message_id="m"))
    assert dedupe_key(same) != dedupe_key(offer(message_id="n"))
    assert dedupe_key(same) != dedupe_key(offer(message_id="m", session_id="00000000000000bb-00000000"))
    shifted = [offer(message_id="bc", session_id="a"), offer(message_id="c", session_id="ab")]
    assert dedupe_key(shifted[0]) != dedupe_key(shifted[1])


async def test_a_message_that_the_disk_refuses_can_be_offered_again() -> None:
    house = House()
    house.pending.fail("accept", NotAccepted("the disk is full"))
    with pytest.raises(NotAccepted, match="disk is full"):
        await house.inbox.accept(offer("hello", message_id="m1"))
    receipt = await house.inbox.accept(offer("hello", message_id="m1"))
    assert not receipt.duplicate


async def test_an_accept_completes_when_its_caller_is_cancelled() -> None:
    house = House()
    task = asyncio.create_task(house.inbox.accept(offer("hello", message_id="m1")), name="accept")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await house.inbox.accept(offer("hello", message_id="m1"))
    assert again.duplicate


@pytest.mark.parametrize("text", ["", "  \n\t ", "x" * (MAX_TEXT_BYTES + 1), "é" * (MAX_TEXT_BYTES // 2 + 1)])
async def test_empty_and_too_long_messages_are_refused_with_what_to_do(text: str) -> None:
    house = House()
    with pytest.raises(UsageError, match=r"say something|agentd ingest FILE"):
        await house.inbox.accept(offer(text))
    assert not await unfinished(house.pending)


async def test_a_message_of_exactly_the_limit_is_accepted() -> None:
    assert (await House().inbox.accept(offer("x" * MAX_TEXT_BYTES))).id


async def test_a_full_queue_is_a_clear_refusal() -> None:
    house = House(limit=2)
    await house.inbox.accept(offer())
    await house.inbox.accept(offer())
    with pytest.raises(Busy, match="2 messages"):
        await house.inbox.accept(offer())
    await house.inbox.accept(offer(session_id="00000000000000bb-00000000"))


async def test_a_closed_door_says_that_agentd_stops() -> None:
    house = House()
    house.inbox.close("SIGTERM")
    with pytest.raises(NotAccepted, match="stopping"):
        await house.inbox.accept(offer())


async def test_the_turn_that_has_its_place_is_asked_to_stop_once() -> None:
    house = House()
    stops = house.bus.subscribe(StopRequested, name="stops")
    assert not await house.inbox.stop(SESSION, OWNER)
    receipt = await house.inbox.accept(offer())
    assert not await house.inbox.stop(SESSION, OWNER), "it only waits"
    house.bus.announce(TurnPlaced(turn_id=receipt.id, session_id=SESSION))
    assert await house.inbox.stop(SESSION, OWNER) and not await house.inbox.stop(SESSION, OWNER)
    house.bus.announce(TurnStarted(turn_id=receipt.id, session_id=SESSION, attempt=1))
    assert not await house.inbox.stop(SESSION, OWNER)
    await house.bus.publish(outbound(await house.event(receipt.id)))
    assert not await house.inbox.stop(SESSION, OWNER)
    stops.close()
    assert [stop.turn_id async for stop in stops if isinstance(stop, StopRequested)] == [receipt.id]


async def test_a_message_that_brings_its_conversation_along_is_one_turn_in_whatever_session() -> None:
    house = House()
    terms = Terms(before=(SaidMessage(role="user", text="hello"),))
    first = await house.inbox.accept(offer("how are you?", message_id="m", terms=terms))
    again = await house.inbox.accept(offer("how are you?", message_id="m", terms=terms, session_id=OTHER_SESSION))
    assert again.duplicate and (again.id, again.session_id) == (first.id, SESSION)
    with pytest.raises(IdReused):
        await house.inbox.accept(offer("how are you?", message_id="m", terms=Terms(), session_id=OTHER_SESSION))
    theirs = Principal(kind="person", id="ann")
    assert not (await house.inbox.accept(offer("x", message_id="m", terms=terms, principal=theirs))).duplicate
    going_on = Terms(continues=True)
    assert not (
        await house.inbox.accept(offer("x", message_id="m", terms=going_on, session_id=OTHER_SESSION))
    ).duplicate


async def test_the_receipt_of_a_turn_is_found_by_its_id_with_its_answer_once_it_has_ended() -> None:
    house = House()
    receipt = await house.inbox.accept(offer("hello", message_id="m"))
    found = await house.inbox.receipt(receipt.id)
    assert (found.id, found.session_id, found.answer) == (receipt.id, SESSION, None)
    question = await house.event(receipt.id)
    answer = outbound(question)
    await house.turns.finish([question], answer)
    await house.bus.publish(answer)
    assert (await house.inbox.receipt(receipt.id)).answer == answer
    for nothing in (answer.id, "nothing"):
        with pytest.raises(NotFound):
            await house.inbox.receipt(nothing)


# --- in the place of an earlier question ---


async def answered(house: House, text: str) -> str:
    """The turn of a question that has its answer."""
    turn = (await house.inbox.accept(offer(text))).id
    event = await house.event(turn)
    await house.turns.finish([event], outbound(event))
    await house.bus.publish(outbound(event, answers=(turn,)))
    await house.pending.ack(turn)
    return turn


@pytest.mark.parametrize(("text", "regenerates"), [("", True), ("hello", True), ("hello again", False)])
async def test_a_question_is_edited_or_asked_for_another_answer(text: str, regenerates: bool) -> None:
    house = House()
    first = await answered(house, "hello")
    again = offer(text, message_id="m", replaces=first)
    receipt = await house.inbox.accept(again)
    event = await house.event(receipt.id)
    assert (event.text, event.replaces, event.regenerates) == (text or "hello", first, regenerates)
    repeated = await house.inbox.accept(again)  # While it waits for its answer, which would refuse any other.
    assert repeated.duplicate and repeated.id == receipt.id
    for other in (offer(text or "hello", message_id="m"), offer("other", message_id="m", replaces=first)):
        with pytest.raises(IdReused):
            await house.inbox.accept(other)


async def test_what_replaces_a_question_waits_for_no_other_and_needs_one_that_there_is() -> None:
    house = House()
    first = await answered(house, "hello")
    for replaces, text in (("gone", "hello again"), ("gone", "")):
        with pytest.raises(NotFound):
            await house.inbox.accept(offer(text, replaces=replaces))
    with pytest.raises(UsageError):
        await house.inbox.accept(offer(" ", replaces=first))
    await house.inbox.accept(offer("and then?"))
    with pytest.raises(Busy):
        await house.inbox.accept(offer("hello again", replaces=first))
