"""A tiny real model that calls a tool in the words of its family, under the real daemon, up to the final answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.events import Event, GenerationChunk, OutboundEvent, ToolCallFailed, ToolCallRequested, ToolCallSucceeded
from agentd.ids import IdSource
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.ports.generation import Delta, Limits, ModelRequest, Sampling, TextPart
from agentd.serving import protocol
from agentd.testing.gguf import CHATML, chain, write_table_model
from agentd.testing.pending import MemoryPending
from agentd.tools.registry import built_in
from agentd.turns.chronicle import Chronicle
from agentd.turns.factory import TurnFactory
from agentd.turns.settings import TurnSettings
from agentd.turns.turn import Answerers
from agentd.turns.window import Memory
from tests.builders import inbound
from tests.daemons import DEADLINE
from tests.fakes import ListedDocuments, MemoryTurns, prepared_from
from tests.families import HERMES
from tests.house import next_answer, next_of
from tests.model_house import ModelDaemon

TEMPLATE = HERMES + "{{ messages[-1].content if messages[-1].role == 'tool' else '' }}"
"""The answer begins behind the result of a tool, so that this model, which looks back by one token, has read it."""
CALL = chain(
    "\n", "Let me see.", "<tool_call>", '{"name":', ' "calculate",', ' "arguments":', ' {"expression": "6 * 7"}}',
    "</tool_call>",
)  # fmt: skip
ANSWER = chain("2", " is", " the answer", ".", "</s>")
"""Behind 42, and behind no other result that ends otherwise."""
CONTEXT = 16384


def write_caller(path: Path, *, template: str = TEMPLATE) -> Path:
    write_table_model(path, {**CALL, **ANSWER}, chat_template=template, context=CONTEXT)
    return path


def daemon(state_dir: Path, model: Path, *more: str) -> ModelDaemon:
    settings = ("model.sampling.temperature=0", "model.tools=on", f"model.context={CONTEXT}", *more)
    return ModelDaemon(state_dir, "--model", str(model), *(word for one in settings for word in ("--set", one)))


async def test_a_call_in_the_words_of_the_model_is_run_and_its_result_is_answered_from(tmp_path: Path) -> None:
    model = write_caller(tmp_path / "caller.gguf")
    async with daemon(tmp_path / "s", model) as running, running.client() as client:
        session = (await client.open()).session
        await client.post(session, "Six rows of seven eggs, how many are that?")
        used = await next_of(client, protocol.State, state="tool")
        assert isinstance(used, protocol.State) and used.detail == "calculate"
        answer = await next_answer(client)
        assert (answer.outcome, answer.model) == ("answer", "caller")
        assert answer.text == "Let me see.\n\nis the answer."
        await client.ack(answer.id)
        told = (await client.history(session)).as_json()
        assert told["messages"][-1]["text"] == answer.text


async def test_a_model_whose_template_knows_no_tools_is_not_told_of_any(tmp_path: Path) -> None:
    """The same words are no call then: there was nothing to call."""
    model = write_caller(tmp_path / "teller.gguf", template=CHATML)
    async with daemon(tmp_path / "s", model) as running, running.client() as client:
        await client.post((await client.open()).session, "Six rows of seven eggs, how many are that?")
        answer = await next_answer(client)
        assert answer.outcome == "answer" and "<tool_call>" in answer.text


class Watched(LlamaModel):
    """Remembers what it was asked."""

    requests: tuple[ModelRequest, ...] = ()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        self.requests += (request,)
        async for delta in super().stream(request):
            yield delta


class House:
    """A turn over the real model, with everything that it tells."""

    def __init__(self, model: LlamaModel) -> None:
        self.events: list[Event] = []
        documents = ListedDocuments()
        self.pending = MemoryPending()
        self.turns = TurnFactory(
            chronicle=Chronicle(EventBus(self.pending, [self.events.append]), self.pending, IdSource(), SystemClock()),
            preparation=prepared_from(documents, MemoryTurns()),
            memory=Memory(history=MemoryTurns()),
            answerers=Answerers(model=model),
            settings=TurnSettings(prompt_tokens=1, sampling=Sampling(temperature=0, max_tokens=200), limits=Limits()),
            tools=built_in(documents=documents, clock=SystemClock()),
        )

    async def run(self, question: str) -> OutboundEvent:
        event = inbound(question)
        await self.pending.accept(event)
        answer = await self.turns.begin(event, 1).run()
        assert isinstance(answer, OutboundEvent)
        return answer


async def test_each_step_of_a_call_is_an_event_and_the_tools_are_part_of_the_count(tmp_path: Path) -> None:
    file = ModelFile(path=write_caller(tmp_path / "m.gguf"))
    async with asyncio.timeout(DEADLINE), Watched(file, EngineSettings(context=CONTEXT)) as model:
        house = House(model)
        answer = await house.run("Six rows of seven eggs, how many are that?")
        assert answer.text == "Let me see.\n\nis the answer."
        told = [event for event in house.events if isinstance(event, ToolCallRequested | ToolCallSucceeded)]
        requested, succeeded = told
        assert isinstance(requested, ToolCallRequested) and isinstance(succeeded, ToolCallSucceeded)
        assert (requested.tool, requested.arguments) == ("calculate", {"expression": "6 * 7"})
        assert (succeeded.call_id, succeeded.result) == (requested.call_id, "42")
        assert not any(isinstance(event, ToolCallFailed) for event in house.events)
        said = "".join(event.text for event in house.events if isinstance(event, GenerationChunk))
        assert said == answer.text, "a call is never shown as words"
        for request in model.requests:
            bare = await model.count_tokens(replace(request, tools=()))
            assert await model.count_tokens(request) > bare + 500


async def test_a_model_that_is_not_loaded_yet_is_not_told_of_tools_that_it_cannot_call(tmp_path: Path) -> None:
    file = ModelFile(path=write_caller(tmp_path / "m.gguf", template=CHATML))
    async with asyncio.timeout(DEADLINE), Watched(file, EngineSettings(context=CONTEXT)) as model:
        await House(model).run("Six rows of seven eggs, how many are that?")
        (request,) = model.requests
        assert request.tools == ()
        assert not any("tools" in part.text for part in request.messages[0].parts if isinstance(part, TextPart))
