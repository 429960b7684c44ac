"""A turn of which an earlier process did a part: it goes on where it was."""

from __future__ import annotations

from typing import Any

from agentd.events import (
    DocumentsRetrieved,
    OutboundEvent,
    StepEvent,
    ToolCallRequested,
    ToolCallStarted,
    ToolCallSucceeded,
    ToolsCalled,
)
from agentd.ports.generation import ModelRequest
from agentd.records import CalledTool
from agentd.testing.model import ScriptedModel, calls, in_turn, results_of, says
from agentd.turns.execution import ToolLimits
from agentd.turns.state import rebuilt
from tests.builders import IDS, TIME, inbound, passage
from tests.fakes import ListedDocuments
from tests.turns.test_turn import SUM, House, tool_user


def told(*numbers: int, **changes: Any) -> DocumentsRetrieved:
    return DocumentsRetrieved(**stamp(), passages=tuple(passage(n, chunk_id=n) for n in numbers), **changes)


def stamp() -> dict[str, Any]:
    return {"id": IDS.next(), "time": TIME, "turn_id": ASKED.turn_id, "session_id": ASKED.session_id}


def made(call_id: str, *, tool: str = "calculate", arguments: str = SUM[1], said: str = "Wait.") -> ToolsCalled:
    return ToolsCalled(**stamp(), said=said, calls=(CalledTool(call_id=call_id, tool=tool, arguments=arguments),))


def over(call_id: str, result: str = "42") -> ToolCallSucceeded:
    return ToolCallSucceeded(**stamp(), call_id=call_id, result=result)


ASKED = inbound("one two")


async def gone_on(house: House, *steps: StepEvent) -> OutboundEvent:
    """The end of a turn of which an earlier process has done this."""
    await house.pending.accept(ASKED)
    answer = await house.runner.begin(ASKED, 2, rebuilt(steps)).run()
    assert isinstance(answer, OutboundEvent)
    return answer


async def test_a_turn_goes_on_with_what_was_looked_up_found_and_said_before() -> None:
    documents = ListedDocuments(passage(1, "Other.", chunk_id=77))
    model = tool_user(says("A [1]. B [3]. C [4]."))
    house = House(model, documents)
    search = made("c0", tool="search_documents", arguments='{"query": "x"}')
    answer = await gone_on(house, told(1, 2, question="one two"), search, told(3), over("c0", "[3] Durability"))
    assert documents.questions == [], "it is not looked up again"
    assert answer.text == "Wait.\n\nA [1]. B [3]. C." and [c.n for c in answer.citations] == [1, 3]
    [request] = model.requests
    assert results_of(request) == ["[3] Durability"] and request.priority == "tool"
    assert house.chunks()[0] == (2, 0, "Wait.")


async def test_a_call_that_was_not_over_is_made_first_and_later_calls_get_new_ids() -> None:
    model = tool_user(calls(SUM), says("It is 42."))
    house = House(model)
    answer = await gone_on(house, made("c0"))
    assert answer.text == "Wait.\n\nIt is 42." and results_of(model.requests[-1]) == ["42", "42"]
    ids = [event.call_id for event in house.events if isinstance(event, ToolCallRequested)]
    assert ids[0] == "c0" and len(set(ids)) == 2


async def test_rounds_of_an_earlier_process_count() -> None:
    def again(request: ModelRequest) -> Any:
        return calls(SUM) if request.tools else says("Enough.")

    model = ScriptedModel(again, tools=True)
    house = House(model, tool_limits=ToolLimits(rounds=3))
    assert (await gone_on(house, made("a"), over("a"), made("b"), over("b"))).text.endswith("Enough.")
    assert [bool(request.tools) for request in model.requests] == [True, False]


async def test_who_is_asked_again_in_plainer_words_is_told_what_was_changed_and_nothing_else() -> None:
    model = ScriptedModel(in_turn(says("   "), says("It was sent.")), tools=True, writes=True)
    house = House(model)
    sent = made("b", tool="send", arguments="{}", said="")
    steps = (made("a"), over("a"), sent, ToolCallStarted(**stamp(), call_id="b"), over("b", "sent"))
    assert (await gone_on(house, *steps)).outcome == "answer"
    assert [results_of(request) for request in model.requests] == [["42", "sent"], ["sent"]]
