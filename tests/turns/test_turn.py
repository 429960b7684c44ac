"""One turn from the question to its one outbound event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import ModelError, PromptTooLong, StateError
from agentd.events import (
    DocumentsRetrieved,
    Event,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    PromptReading,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
    ToolsCalled,
    TurnHandedOver,
    TurnStarted,
)
from agentd.ids import IdSource
from agentd.ports.generation import (
    Finish,
    HandedOver,
    Limits,
    ModelRequest,
    Notice,
    PassagePart,
    Reading,
    ReasoningDelta,
    Renumbered,
    Restarted,
    Sampling,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
)
from agentd.ports.models import Pace
from agentd.testing.model import ScriptedModel, calls, failing, in_turn, question_of, results_of, says
from agentd.testing.pending import MemoryPending
from agentd.tools.registry import built_in
from agentd.turns.chronicle import Chronicle
from agentd.turns.execution import ToolLimits
from agentd.turns.factory import TurnFactory
from agentd.turns.settings import TurnSettings
from agentd.turns.turn import NOT_IN_DOCUMENTS, Answerers, Turn
from agentd.turns.window import Memory
from tests.builders import inbound, passage
from tests.fakes import ListedDocuments, MemoryTurns, prepared_from


class House:
    def __init__(
        self,
        model: ScriptedModel,
        documents: ListedDocuments | None = None,
        limits: Limits | None = None,
        tool_limits: ToolLimits | None = None,
        instructions: str = "",
        fallback: ScriptedModel | None = None,
    ) -> None:
        self.model = model
        self.events: list[Event] = []
        self.spoke = asyncio.Event()
        self.turns = MemoryTurns()
        self.pending = MemoryPending()
        settings = TurnSettings(
            prompt_tokens=2000,
            sampling=Sampling(),
            limits=limits or Limits(),
            tools=tool_limits or ToolLimits(),
            instructions=instructions,
        )
        documents = documents or ListedDocuments()
        self.runner = TurnFactory(
            chronicle=Chronicle(EventBus(self.pending, [self._saw]), self.pending, IdSource(), SystemClock()),
            preparation=prepared_from(documents, self.turns),
            memory=Memory(history=self.turns),
            answerers=Answerers(model=model, fallback=fallback),
            settings=settings,
            tools=built_in(documents=documents, clock=SystemClock()),
        )

    def _saw(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, GenerationChunk):
            self.spoke.set()

    async def run(self, event: InboundEvent | None = None) -> OutboundEvent:
        answer = await (await self.begin(event or inbound("one two"))).run()
        assert isinstance(answer, OutboundEvent)
        return answer

    async def begin(self, event: InboundEvent) -> Turn:
        await self.pending.accept(event)
        return self.runner.begin(event, 1)

    def chunks(self) -> list[tuple[int, int, str]]:
        return [(e.attempt, e.n, e.text) for e in self.events if isinstance(e, GenerationChunk)]


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


async def test_a_model_that_numbers_its_sources_anew_is_cited_by_the_new_numbers() -> None:
    model = script(Renumbered(passages=(2,)), TextDelta(text="True [1]. False [2]."), Finish(reason="stop"))
    house = House(model, ListedDocuments(passage(1, chunk_id=5), passage(2, "Second.", chunk_id=6)))
    answer = await house.run()
    assert answer.text == "True [1]. False."
    told = [e.passages for e in house.events if isinstance(e, DocumentsRetrieved)]
    assert [[(p.n, p.chunk_id) for p in passages] for passages in told] == [[(1, 5), (2, 6)], [(1, 6)]]
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


async def test_a_change_of_the_model_is_told_and_the_answer_names_who_gave_it() -> None:
    model = script(HandedOver(model="small", reason="big is down"), TextDelta(text="Hello"), Finish(reason="stop"))
    house = House(model)
    answer = await house.run()
    assert (answer.text, answer.model) == ("Hello", "small")
    (told,) = [e for e in house.events if isinstance(e, TurnHandedOver)]
    assert (told.model, told.reason, told.attempt) == ("small", "big is down", 1)


async def test_an_error_of_the_model_is_an_answer_that_a_person_can_read() -> None:
    answer = await House(ScriptedModel(failing("the model file is gone; pull it again"))).run()
    assert (answer.outcome, answer.error_code) == ("error", "model")
    assert answer.text == "the model file is gone; pull it again"


async def test_what_was_said_before_an_error_is_kept() -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="Half"), *failing("it broke")(request)])
    answer = await House(model).run()
    assert (answer.outcome, answer.text) == ("error", "Half\n\nit broke")


async def test_whatever_a_model_says_can_be_stored() -> None:
    half = "half \ud83d"
    handed, began = HandedOver(model=half, reason=half), Restarted(reason=half)
    house = House(script(handed, began, ReasoningDelta(text=half), TextDelta(text=half), Finish(reason="stop")))
    answer = await house.run()
    assert (answer.outcome, answer.text, answer.model) == ("answer", "half \ufffd", "half \ufffd")
    failed = await House(ScriptedModel(failing(half))).run()
    assert (failed.outcome, failed.text) == ("error", "half \ufffd")
    assert all(event.model_dump_json() for event in [answer, failed, *house.events])


async def test_half_a_character_in_a_title_stops_no_answer() -> None:
    cited = script(TextDelta(text="So it is [1]."), Finish(reason="stop"))
    answer = await House(cited, ListedDocuments(passage(title="half \ud83d"))).run()
    assert answer.outcome == "answer" and [citation.title for citation in answer.citations] == ["half \ufffd"]
    assert answer.model_dump_json()


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


# --- what agentd itself says ---


def spoken(request: ModelRequest) -> list[tuple[str, str]]:
    """What was said before the newest message: roles and texts."""
    before = request.messages[1:-1]
    return [(m.role, "".join(part.text for part in m.parts if isinstance(part, TextPart))) for m in before]


@pytest.mark.parametrize(
    ("deltas", "kept"),
    [
        ((Notice(text="Nobody knows."), Finish(reason="stop")), ""),
        ((TextDelta(text="Long"), Finish(reason="length")), "Long"),
        ((TextDelta(text="Half"), ModelError("it broke")), "Half"),
        ((ModelError("it broke"),), ""),
    ],
    ids=["notice", "length", "half", "failed"],
)
async def test_what_agentd_says_itself_is_shown_and_goes_into_no_prompt(deltas: Any, kept: str) -> None:
    model = ScriptedModel(in_turn(deltas, says("Yes.")))
    house = House(model)
    first = inbound("Who is the king?")
    answer = await house.run(first)
    assert answer.notice and answer.text.endswith(answer.notice) and answer.text.startswith(kept)
    await house.turns.finish([first], answer)
    await house.run(inbound("What did they decide?"))
    answered = [("assistant", kept)] if kept else []
    assert spoken(model.requests[-1]) == [("user", "Who is the king?"), *answered]


async def test_a_model_is_told_whether_documents_were_searched() -> None:
    house = House(ScriptedModel(), ListedDocuments(RENT))
    await house.run(inbound(ASKED))
    await house.run(inbound(ASKED, documents=0))
    assert [request.searched for request in house.model.requests] == [True, False]


async def test_a_notice_is_shown_as_it_is_and_is_the_answer() -> None:
    for model in (
        script(Notice(text="Nobody [1] knows."), Finish(reason="stop")),
        writer((HandedOver(model="other", reason="gone"), Notice(text="Nobody [1] knows."), Finish(reason="stop"))),
    ):
        house = House(model, ListedDocuments(RENT))
        answer = await house.run(inbound(ASKED))
        assert (answer.outcome, answer.text, answer.citations) == ("answer", "Nobody [1] knows.", ())
        assert house.chunks() == [(1, 0, answer.text)]


async def test_an_unanswered_question_is_found_together_with_the_one_that_refers_to_it() -> None:
    documents = ListedDocuments(RENT)
    model = writer(says("On the third."))
    house = House(model, documents)
    first = inbound("Which king founded the university of Prague?")
    answer = await house.run(first)
    assert answer.text == answer.notice == NOT_IN_DOCUMENTS
    await house.turns.finish([first], answer)
    await house.run(inbound("and when did he die?"))
    assert documents.questions[-3:] == [
        "and when did he die?",
        f"{first.text}\nand when did he die?",
        f"{first.text}\nand when did he die?",
    ]
    assert spoken(model.requests[-1]) == [("user", first.text)]


async def test_a_turn_that_takes_too_long_ends() -> None:
    model = ScriptedModel()
    model.gate.clear()
    answer = await House(model, limits=Limits(turn=0.05)).run()
    assert (answer.outcome, answer.error_code) == ("error", "timeout")
    assert "0.05 s" in answer.text
    assert model.running == 0


async def test_a_cancelled_turn_keeps_what_it_said() -> None:
    model = ScriptedModel(lambda request: (TextDelta(text=f"one {n} ") for n in range(100_000)))
    house = House(model)
    turn = await house.begin(inbound())
    task = asyncio.create_task(turn.run(), name="turn")
    async with asyncio.timeout(60):
        await house.spoke.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    partial = turn.interrupted()
    assert partial.outcome == "interrupted" and partial.text.startswith("one ")
    assert model.cancelled == 1


# --- tools -----------------------------------------------------------------------------------------------------------


def tool_user(*scripts: Any) -> ScriptedModel:
    return ScriptedModel(in_turn(*scripts), tools=True)


SUM = ("calculate", '{"expression": "6 * 7"}')


@pytest.mark.parametrize("piece", [0, 1, 3, 100])
async def test_a_call_is_run_and_its_result_is_answered_from(piece: int) -> None:
    model = tool_user(calls(SUM, piece=piece), says("It is 42."))
    house = House(model)
    answer = await house.run()
    assert (answer.outcome, answer.text) == ("answer", "It is 42.")
    first, second = model.requests
    assert [tool.name for tool in first.tools] == ["calculate", "current_time", "search_documents"]
    assert (first.priority, second.priority) == ("interactive", "tool")
    assert second.messages[: len(first.messages)] == first.messages and second.tools == first.tools
    assert second.messages[-2].parts == (ToolCallPart(call_id="c0", tool="calculate", arguments=SUM[1]),)
    assert results_of(second) == ["42"]
    assert [type(e) for e in house.events] == [
        DocumentsRetrieved,
        ToolsCalled,
        ToolCallRequested,
        ToolCallSucceeded,
        GenerationChunk,
    ]


async def test_several_calls_at_once_and_one_after_the_other() -> None:
    model = tool_user(calls(SUM, ("calculate", '{"expression": "1 + 1"}')), calls(SUM), says("Done."))
    house = House(model)
    assert (await house.run()).text == "Done."
    assert results_of(model.requests[-1]) == ["42", "2", "42"]
    ids = [e.call_id for e in house.events if isinstance(e, ToolCallRequested)]
    assert len(ids) == len(set(ids)) == 3


async def test_what_is_said_before_a_call_stays_part_of_the_answer() -> None:
    model = tool_user([TextDelta(text="Let me "), TextDelta(text="see."), *calls(SUM)], says("It is 42."))
    house = House(model)
    answer = await house.run()
    assert answer.text == "Let me see.\n\nIt is 42."
    assert house.chunks() == [(1, 0, "Let me "), (1, 7, "see."), (1, 11, "\n\nIt is 42.")]
    assert [getattr(part, "text", "") for part in model.requests[1].messages[-2].parts] == ["Let me see.", ""]


async def test_a_model_that_cannot_call_tools_is_offered_none() -> None:
    model = ScriptedModel()
    await House(model).run()
    assert model.requests[0].tools == ()
    model = ScriptedModel(in_turn(calls(SUM)))
    answer = await House(model).run()
    assert (answer.outcome, answer.error_code) == ("error", "model") and "not offered" in answer.text


async def test_a_wrong_call_can_be_put_right() -> None:
    model = tool_user(calls(("calculate", '{"expr')), calls(SUM), says("It is 42."))
    house = House(model)
    assert (await house.run()).text == "It is 42."
    wrong = results_of(model.requests[1])[0]
    assert wrong.startswith("Error: ") and "JSON object" in wrong
    assert sum(isinstance(e, ToolCallFailed) for e in house.events) == 1


async def test_a_second_wrong_call_is_told_to_the_person() -> None:
    model = tool_user([TextDelta(text="Hm."), *calls(("nothing", "{}"))], calls(("calculate", "[]")))
    answer = await House(model).run()
    assert (answer.outcome, answer.error_code) == ("error", "model")
    assert answer.text.startswith("Hm.\n\n") and "did it again" in answer.text


async def test_a_model_that_calls_for_ever_must_answer_at_last() -> None:
    def again(request: ModelRequest) -> Any:
        return calls(SUM) if request.tools else says("Enough.")

    model = ScriptedModel(again, tools=True)
    house = House(model, tool_limits=ToolLimits(rounds=3))
    assert (await house.run()).text == "Enough."
    assert [bool(request.tools) for request in model.requests] == [True, True, True, False]


async def test_a_search_is_cited_by_the_next_numbers() -> None:
    class Growing(ListedDocuments):
        async def search(self, *args: Any, **kwargs: Any) -> Any:
            await super().search(*args, **kwargs)
            n = len(self.questions)
            return [passage(1, f"Text {n}.", chunk_id=n), passage(2, "Both.", chunk_id=99)]

    documents = Growing()
    model = tool_user(calls(("search_documents", '{"query": "otters"}')), says("A [1]. B [2]. C [3]. D [4]."))
    house = House(model, documents)
    answer = await house.run()
    assert documents.questions == ["one two", "otters"]
    assert results_of(model.requests[1]) == ["[3] Durability, Crash\nText 2.\n\n[2] is among the passages above.\n"]
    assert answer.text == "A [1]. B [2]. C [3]. D."
    assert [citation.n for citation in answer.citations] == [1, 2, 3]
    assert [[p.n for p in e.passages] for e in house.events if isinstance(e, DocumentsRetrieved)] == [[1, 2], [3, 2]]


async def test_a_passage_that_was_cut_from_a_result_cannot_be_cited() -> None:
    class Long(ListedDocuments):
        async def search(self, *args: Any, **kwargs: Any) -> Any:
            await super().search(*args, **kwargs)
            return [passage(n, "x" * 300, chunk_id=n) for n in (1, 2, 3)] if len(self.questions) > 1 else []

    model = tool_user(calls(("search_documents", '{"query": "x"}')), says("A [1]. B [2]. C [3]."))
    answer = await House(model, Long(), tool_limits=ToolLimits(characters=400)).run()
    assert answer.text == "A [1]. B [2]. C."


async def test_a_passage_that_had_no_room_cannot_be_cited() -> None:
    def count(request: ModelRequest) -> int:
        return 900 * sum(isinstance(part, PassagePart) for message in request.messages for part in message.parts)

    model = ScriptedModel(lambda request: says("A [1]. B [2]. C [3]."), count=count)
    answer = await House(model, ListedDocuments(passage(1), passage(2), passage(3))).run()
    assert (answer.text, [citation.n for citation in answer.citations]) == ("A [1]. B [2]. C.", [1, 2])


async def test_a_model_that_starts_again_after_a_tool_keeps_what_came_before() -> None:
    model = tool_user(
        [TextDelta(text="Wait."), *calls(SUM)],
        [*list(calls(("calculate", "{")))[:-1], TextDelta(text="Ha"), Restarted(reason="killed"), *says("It is 42.")],
    )
    house = House(model)
    answer = await house.run()
    assert answer.text == "Wait.\n\nIt is 42."
    assert house.chunks() == [(1, 0, "Wait."), (1, 5, "\n\nHa"), (2, 0, "Wait.\n\n"), (2, 7, "It is 42.")]
    assert len(model.requests) == 2


async def test_a_turn_that_is_stopped_in_a_tool_keeps_what_it_said() -> None:
    class Slow(ListedDocuments):
        async def search(self, *args: Any, **kwargs: Any) -> Any:
            await super().search(*args, **kwargs)
            if len(self.questions) > 1:
                house.spoke.set()
                await asyncio.Event().wait()
            return []

    model = tool_user([TextDelta(text="Wait."), *calls(("search_documents", '{"query": "x"}'))])
    house = House(model, Slow())
    turn = await house.begin(inbound("one two"))
    task = asyncio.create_task(turn.run(), name="turn")
    async with asyncio.timeout(60):
        while not any(isinstance(e, ToolCallRequested) for e in house.events):
            house.spoke.clear()
            await house.spoke.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (turn.interrupted().outcome, turn.interrupted().text) == ("interrupted", "Wait.")


async def test_a_tool_that_hangs_ends_and_the_model_answers_without_it() -> None:
    class Hanging(ListedDocuments):
        async def search(self, *args: Any, **kwargs: Any) -> Any:
            await super().search(*args, **kwargs)
            if len(self.questions) > 1:
                await asyncio.Event().wait()
            return []

    model = tool_user(calls(("search_documents", '{"query": "x"}')), says("I could not look."))
    answer = await House(model, Hanging(), tool_limits=ToolLimits(seconds=0.05)).run()
    assert answer.text == "I could not look."
    [told] = results_of(model.requests[1])
    assert told.startswith("Error: ") and " 0.05 s " in told


# --- room ------------------------------------------------------------------------------------------------------------


class Sized(ScriptedModel):
    """A token for each character of the question and each tool, and a context that is known once it was asked for."""

    def __init__(self, script: Any, size: int, **settings: Any) -> None:
        super().__init__(
            script, count=lambda request: len(question_of(request)) + 1000 * len(request.tools), **settings
        )
        self.size = size

    async def context(self, limits: Limits) -> int | None:
        return self.size


async def test_a_question_beyond_the_context_is_an_error_with_the_numbers_and_the_model_is_not_asked() -> None:
    model = Sized(lambda request: says("Yes."), 1000)
    answer = await House(model).run(inbound("x" * 1500))
    assert (answer.outcome, answer.error_code) == ("error", "prompt_too_long")
    assert "1500 tokens" in answer.text and " model 1000" in answer.text
    assert model.requests == []


async def test_tools_give_way_where_there_is_no_room_for_them_beside_the_question() -> None:
    model = Sized(lambda request: says("Yes."), 2000, tools=True)
    assert (await House(model).run(inbound("x" * 900))).text == "Yes."
    (request,) = model.requests
    assert request.tools == ()
    model = Sized(lambda request: says("Yes."), 5000, tools=True)
    await House(model).run(inbound("x" * 900))
    assert len(model.requests[0].tools) == 3


async def test_a_prompt_that_another_model_finds_too_long_is_made_shorter_once() -> None:
    def script(request: ModelRequest) -> Any:
        passages = sum(isinstance(part, PassagePart) for part in request.messages[-1].parts)
        if passages > 1:
            return [HandedOver(model="small", reason="down"), PromptTooLong("too long", context=1000)]
        return [HandedOver(model="small", reason="down"), *says(f"Yes [1] [2] of {passages}.")]

    def count(request: ModelRequest) -> int:
        return 300 * sum(isinstance(part, PassagePart) for part in request.messages[-1].parts)

    house = House(ScriptedModel(script, count=count), ListedDocuments(passage(1), passage(2), passage(3)))
    answer = await house.run()
    assert (answer.outcome, answer.model, answer.text) == ("answer", "small", "Yes [1] of 1.")
    assert sum(isinstance(event, TurnHandedOver) for event in house.events) == 1, "told once"
    refusing = ScriptedModel(lambda request: [PromptTooLong("too long", context=900)])
    assert (await House(refusing).run()).error_code == "prompt_too_long"
    assert len(refusing.requests) == 2


# --- a model that writes ---------------------------------------------------------------------------------------------

RENT = passage(1, "The rent of the flat is due on the third of each month.", chunk_id=1, document_id=1)
WEATHER = passage(2, "It rained on Monday and snowed on Tuesday in the valley.", chunk_id=2, document_id=2)
ASKED = "When is the rent of the flat due?"


def writer(*scripts: Any, **abilities: Any) -> ScriptedModel:
    return ScriptedModel(in_turn(*scripts), writes=True, **abilities)


async def test_an_answer_without_marks_gets_them_and_the_sentence_that_stands_behind_it() -> None:
    house = House(writer(says("On the third of each month.")), ListedDocuments(WEATHER, RENT))
    answer = await house.run(inbound(ASKED))
    assert answer.text.startswith("On the third of each month. [1]\n\n> ") and answer.text.endswith("[1]")
    assert RENT.text in answer.text
    assert [(c.n, c.start, c.end) for c in answer.citations] == [(1, RENT.start, RENT.end)]
    assert "".join(text for _, _, text in house.chunks()) == answer.text


async def test_a_model_that_was_not_seen_to_cite_is_told_nothing_of_it_and_sees_no_numbers() -> None:
    model, citer = writer(says("On the third.")), writer(says("On the third [1]."), cites=True)
    for one in (model, citer):
        await House(one, ListedDocuments(RENT)).run(inbound(ASKED))
    parts = [part for part in model.requests[0].messages[-1].parts if isinstance(part, PassagePart)]
    assert [part.numbered for part in parts] == [False]
    assert "bracket" not in str(model.requests[0]) and "bracket" in str(citer.requests[0])


async def test_a_model_that_cites_is_left_to_it() -> None:
    house = House(writer(says("On the third [1]."), cites=True), ListedDocuments(RENT))
    assert (await house.run(inbound(ASKED))).text == "On the third [1]."


async def test_a_question_beyond_the_documents_is_refused_at_once() -> None:
    model = writer()
    answer = await House(model, ListedDocuments(RENT)).run(inbound("Which king founded the university of Prague?"))
    assert answer.outcome == "answer" and answer.text.startswith("The documents do not say.")
    assert model.requests == [] and answer.usage is None


CIRCLE = "He said it and she said it and then they went. " * 12


@pytest.mark.parametrize("reply", ["[1].", "", ASKED, CIRCLE, '{"name": "search", "arguments": {}}'])
async def test_what_is_not_an_answer_is_asked_for_once_more_in_plainer_words(reply: str) -> None:
    house = House(writer(says(reply), says("On the third."), tools=True), ListedDocuments(RENT))
    answer = await house.run(inbound(ASKED))
    assert answer.text.startswith("On the third.")
    assert [e.attempt for e in house.events if isinstance(e, TurnStarted)] == [2]
    first, second = (house.model.requests[n] for n in (0, 1))
    assert first.tools and not second.tools
    assert not [text for attempt, _, text in house.chunks() if attempt == 2 and reply and reply in text]


async def test_after_a_second_time_the_documents_themselves_answer_and_say_so() -> None:
    fallback = ScriptedModel(lambda request: says("The rent is due on the third [1]."))
    fallback.name = "quoting"
    house = House(writer(says("[1]"), says("[2], [3].")), ListedDocuments(RENT), fallback=fallback)
    answer = await house.run(inbound(ASKED))
    assert (answer.text, answer.model) == ("The rent is due on the third [1].", "quoting")
    (told,) = [e for e in house.events if isinstance(e, TurnHandedOver)]
    assert told.model == "quoting" and "only gave numbers" in told.reason
    alone = await House(writer(says("[1]"), says("[2], [3].")), ListedDocuments(RENT)).run(inbound(ASKED))
    assert (alone.outcome, alone.error_code) == ("error", "model") and "only gave numbers" in alone.text


async def test_a_call_of_a_tool_that_was_not_offered_is_not_an_answer() -> None:
    model = writer(calls(("fly_to_the_moon", "{}")), says("On the third."), tools=True)
    answer = await House(model, ListedDocuments(RENT)).run(inbound(ASKED))
    assert answer.text.startswith("On the third.") and "moon" not in answer.text


async def test_an_answer_that_ends_in_a_circle_keeps_what_came_before_it() -> None:
    house = House(writer(says(f"The rent is due on the third of each month. {CIRCLE}")), ListedDocuments(RENT))
    answer = await house.run(inbound(ASKED))
    assert answer.text.startswith("The rent is due on the third of each month. [1]")
    assert "repeat itself" in answer.text and len(answer.text) < len(CIRCLE)


async def test_instructions_of_the_user_are_part_of_the_system_text() -> None:
    model = writer(says("On the third."))
    await House(model, ListedDocuments(RENT), instructions="Call me Captain.").run(inbound(ASKED))
    (system,) = model.requests[0].messages[0].parts
    assert isinstance(system, TextPart) and "Call me Captain." in system.text


async def test_answers_from_documents_are_not_a_matter_of_chance() -> None:
    model = writer(says("On the third."), says("Hello."))
    house = House(model, ListedDocuments(RENT))
    await house.run(inbound(ASKED))
    await house.run(inbound("hello"))
    assert [request.sampling.temperature for request in model.requests] == [0.0, None]


async def test_another_answer_to_the_same_question_is_a_matter_of_chance() -> None:
    model = writer(says("On the third."), says("On the third."))
    house = House(model, ListedDocuments(RENT))
    await house.run(inbound(ASKED, replaces="t", regenerates=True))
    await house.run(inbound(ASKED, replaces="t"))
    assert [request.sampling.temperature for request in model.requests] == [None, 0.0]


async def test_what_was_read_and_written_is_told() -> None:
    usage = Usage(prompt_tokens=100, cached_tokens=20, completion_tokens=5, read_seconds=2.0, write_seconds=0.5)
    model = ScriptedModel(
        lambda request: [Reading(done=0, total=80, seconds=2.0), TextDelta(text="Hello."), usage, Finish(reason="stop")]
    )
    house = House(model)
    answer = await house.run()
    assert answer.usage is not None and answer.usage.prompt_tokens == 100 and answer.usage.read_seconds == 2.0
    (told,) = [e for e in house.events if isinstance(e, PromptReading)]
    assert (told.done, told.total, told.seconds) == (0, 80, 2.0)


def test_the_constant_beginning_is_what_every_prompt_begins_with() -> None:
    runner = House(ScriptedModel(), instructions="Call me Captain.").runner
    with_tools, without = runner.constant(tools=True), runner.constant(tools=False)
    assert len(with_tools.tools) == 3 and without.tools == ()
    assert [message.role for message in without.messages] == ["system"]


async def test_small_talk_is_offered_no_tools() -> None:
    model = tool_user(says("Hello!"), says("Yes."))
    house = House(model)
    await house.run(inbound("hello"))
    await house.run(inbound("one two"))
    assert [bool(request.tools) for request in model.requests] == [False, True]


async def test_an_answer_from_another_sentence_than_the_likeliest_is_followed_by_both() -> None:
    house = House(writer(says("It rained on Monday.")), ListedDocuments(RENT, WEATHER))
    answer = await house.run(inbound(ASKED))
    head, *quotes = answer.text.split("\n\n> ")
    assert head == "It rained on Monday. [1]"
    assert [quote.split(" [")[0] for quote in quotes] == [WEATHER.text, RENT.text]
    assert [citation.start for citation in answer.citations] == [WEATHER.start, RENT.start]


async def test_a_model_that_refuses_what_the_documents_hold_is_followed_by_their_sentence() -> None:
    house = House(writer(says("The passages do not mention that.")), ListedDocuments(RENT))
    answer = await house.run(inbound(ASKED))
    assert answer.text == f"The passages do not mention that.\n\n> {RENT.text} [1]"


async def test_what_answers_nearly_as_well_is_quoted_also_if_the_model_had_no_time_to_read_it() -> None:
    filler = " ".join(
        f"The valley has a mill with {n} wheels, which nobody has counted again since." for n in range(20)
    )
    lines = (
        "Jared Allen led the Panthers in sacks in 2014.",
        filler,
        "Kawann Short led the Panthers in sacks in 2015.",
    )
    long = passage(1, " ".join(lines), heading="")
    model = writer(says("Jared Allen."), pace=Pace(read=1.0, write=1.0))
    house = House(model, ListedDocuments(long))
    answer = await house.run(inbound("Who led the Panthers in sacks?"))
    assert filler not in str(model.requests[0])
    assert lines[0] in answer.text and lines[2] in answer.text
