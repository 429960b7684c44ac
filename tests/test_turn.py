"""One turn from the question to its one outbound event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentd.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import StateError
from agentd.events import DocumentsRetrieved, Event, GenerationChunk, InboundEvent, OutboundEvent, TurnStarted
from agentd.generation import Finish, Limits, ReasoningDelta, Restarted, Sampling, TextDelta
from agentd.ids import IdSource
from agentd.ports import Documents
from agentd.testing.model import ScriptedModel, failing, question_of
from agentd.testing.pending import MemoryPending
from agentd.turn import Turns, TurnSettings
from tests.builders import inbound, passage
from tests.fakes import ListedDocuments, MemoryTurns


class House:
    def __init__(self, model: ScriptedModel, documents: Documents | None = None, limits: Limits | None = None) -> None:
        self.events: list[Event] = []
        self.spoke = asyncio.Event()
        self.turns = MemoryTurns()
        settings = TurnSettings(passages=4, prompt_tokens=2000, sampling=Sampling(), limits=limits or Limits())
        self.runner = Turns(
            documents=documents or ListedDocuments(),
            model=lambda: model,
            sessions=self.turns,
            bus=EventBus(MemoryPending(), [self._saw]),
            ids=IdSource(),
            clock=SystemClock(),
            settings=settings,
        )

    def _saw(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, GenerationChunk):
            self.spoke.set()

    async def run(self, event: InboundEvent | None = None) -> OutboundEvent:
        return await self.runner.begin(event or inbound("one two"), 1).run()


def script(*deltas: Any) -> ScriptedModel:
    return ScriptedModel(lambda request: deltas)


async def test_a_turn_retrieves_then_streams_then_answers() -> None:
    model = ScriptedModel()
    house = House(model, ListedDocuments(passage()))
    event = inbound("one two")
    answer = await house.run(event)
    assert [type(e) for e in house.events] == [DocumentsRetrieved, GenerationChunk, GenerationChunk]
    chunks = [e for e in house.events if isinstance(e, GenerationChunk)]
    assert [(c.attempt, c.n, c.text) for c in chunks] == [(1, 0, "one "), (1, 4, "two ")]
    assert all(e.turn_id == event.turn_id for e in chunks)
    assert (answer.outcome, answer.text, answer.model) == ("answer", "one two ", "scripted")
    assert (answer.answers, answer.in_reply_to, answer.address) == ((event.id,), event.message_id, event.address)


async def test_the_model_gets_the_question_and_the_history() -> None:
    model = ScriptedModel()
    house = House(model)
    first = inbound("first")
    await house.turns.finish([first], await house.run(first))
    await house.run(inbound("second"))
    request = model.requests[-1]
    assert question_of(request) == "second"
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "user"]


async def test_sources_that_were_not_retrieved_are_dropped() -> None:
    model = script(TextDelta(text="True [1]. False [8]."), Finish(reason="stop"))
    answer = await House(model, ListedDocuments(passage(1), passage(2))).run()
    assert answer.text == "True [1]. False."
    assert [c.n for c in answer.citations] == [1]


async def test_reasoning_is_streamed_apart_and_is_no_part_of_the_answer() -> None:
    model = script(ReasoningDelta(text="Let me see"), TextDelta(text="Yes."), Finish(reason="stop"))
    house = House(model)
    answer = await house.run()
    chunks = [(e.reasoning, e.n, e.text) for e in house.events if isinstance(e, GenerationChunk)]
    assert chunks == [(True, 0, "Let me see"), (False, 0, "Yes.")]
    assert answer.text == "Yes."


async def test_a_model_that_starts_again_voids_what_it_said() -> None:
    model = script(TextDelta(text="Ha"), Restarted(reason="killed"), TextDelta(text="Hello"), Finish(reason="stop"))
    house = House(model)
    answer = await house.run()
    assert answer.text == "Hello"
    assert [e.attempt for e in house.events if isinstance(e, TurnStarted)] == [2]
    assert [(e.attempt, e.n) for e in house.events if isinstance(e, GenerationChunk)] == [(1, 0), (2, 0)]


async def test_an_error_of_the_model_is_an_answer_that_a_person_can_read() -> None:
    answer = await House(ScriptedModel(failing("the model file is gone; pull it again"))).run()
    assert (answer.outcome, answer.error_code) == ("error", "model")
    assert answer.text == "the model file is gone; pull it again"


async def test_what_was_said_before_an_error_is_kept() -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="Half"), *failing("it broke")(request)])
    answer = await House(model).run()
    assert (answer.outcome, answer.text) == ("error", "Half\n\nit broke")


async def test_a_bug_ends_the_turn_and_its_details_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answer = await House(ScriptedModel(lambda request: [ValueError("secret detail")])).run()
    assert (answer.outcome, answer.error_code) == ("error", "internal")
    assert "secret detail" not in answer.text and "secret detail" in caplog.text


async def test_documents_that_cannot_be_read_are_told() -> None:
    class Broken(ListedDocuments):
        async def search(self, *args: Any, **kwargs: Any) -> Any:
            raise StateError("documents.db is damaged; delete it and ingest again.")

    answer = await House(ScriptedModel(), Broken()).run()
    assert (answer.error_code, answer.text) == ("state", "documents.db is damaged; delete it and ingest again.")


@pytest.mark.parametrize("deltas", [[Finish(reason="stop")], [TextDelta(text=" \n"), Finish(reason="stop")]])
async def test_an_empty_answer_is_an_error(deltas: list[Any]) -> None:
    answer = await House(script(*deltas)).run()
    assert answer.outcome == "error" and "empty answer" in answer.text


async def test_a_stream_without_an_end_is_an_error() -> None:
    answer = await House(script(TextDelta(text="Half"))).run()
    assert answer.outcome == "error" and "in the middle" in answer.text


async def test_an_answer_that_was_cut_says_so() -> None:
    answer = await House(script(TextDelta(text="Long"), Finish(reason="length"))).run()
    assert answer.text.startswith("Long") and "length limit" in answer.text


async def test_a_turn_that_takes_too_long_ends() -> None:
    model = ScriptedModel()
    model.gate.clear()
    answer = await House(model, limits=Limits(turn=0.05)).run()
    assert (answer.outcome, answer.error_code) == ("error", "timeout")
    assert "0.05 s" in answer.text
    assert model.running == 0


async def test_a_cancelled_turn_keeps_what_it_said() -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="one "), TextDelta(text="two")] * 1000)
    house = House(model)
    turn = house.runner.begin(inbound(), 1)
    task = asyncio.create_task(turn.run(), name="turn")
    async with asyncio.timeout(5):
        await house.spoke.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    partial = turn.interrupted()
    assert partial.outcome == "interrupted" and partial.text.startswith("one ")
    assert model.cancelled == 1
