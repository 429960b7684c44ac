"""A model is chosen while another one still answers; the other one is closed after its last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.choice import ChosenModel, State
from agentd.ports.generation import Delta, Limits, Message, ModelRequest, TextDelta, TextPart
from agentd.ports.models import Pace
from agentd.testing.model import ScriptedModel

REQUEST = ModelRequest(messages=(Message(role="user", parts=(TextPart(text="one two"),)),), session_id="s", turn_id="t")


class FileModel(ScriptedModel):
    """A scripted model that is loaded and closed like one with weights."""

    def __init__(self, path: Path, told: Callable[[State, str], None], broken: bool) -> None:
        super().__init__()
        self.name = path.stem
        self.broken = broken
        self.told = told
        self.closed = asyncio.Event()

    async def start(self) -> int:
        self.told("loading", "")
        await asyncio.sleep(0)
        if self.broken:
            self.told("failed", "not a GGUF file")
            raise ModelError("not a GGUF file")
        self.told("ready", "")
        return 1

    async def close(self) -> None:
        self.closed.set()


class House:
    def __init__(self) -> None:
        self.first = ScriptedModel()
        self.fails = {"broken.gguf"}
        self.made: list[FileModel] = []
        self.told: list[tuple[str, State]] = []
        self.chosen = ChosenModel(self.first, self.build, lambda name, state, _: self.told.append((name, state)))

    def build(self, path: Path, told: Callable[[State, str], None]) -> FileModel:
        self.made.append(FileModel(path, told, str(path) in self.fails))
        return self.made[-1]


async def answer(chosen: ChosenModel) -> list[Delta]:
    async with aclosing(chosen.stream(REQUEST)) as deltas:
        return [delta async for delta in deltas]


async def test_the_first_model_answers_until_another_is_chosen() -> None:
    house = House()
    assert TextDelta(text="one ") in await answer(house.chosen)
    assert house.chosen.name == "scripted" and len(house.first.requests) == 1
    said = await house.chosen.use(Path("/models/small.gguf"))
    assert "small" in said and house.chosen.name == "small"
    await answer(house.chosen)
    assert len(house.made[0].requests) == 1 and len(house.first.requests) == 1
    assert house.told == [("small", "loading"), ("small", "ready")]
    await house.chosen.close()


async def test_a_model_that_cannot_be_loaded_leaves_the_earlier_one_in_place() -> None:
    house = House()
    with pytest.raises(ModelError, match="not a GGUF"):
        await house.chosen.use(Path("broken.gguf"))
    assert house.chosen.name == "scripted" and house.chosen.problem == ""
    assert house.made[0].closed.is_set()


async def test_a_refused_file_of_the_same_name_leaves_the_state_of_the_one_that_answers() -> None:
    house = House()
    house.fails = {"/new/small.gguf"}
    await house.chosen.use(Path("/old/small.gguf"))
    with pytest.raises(ModelError, match="not a GGUF"):
        await house.chosen.use(Path("/new/small.gguf"))
    assert (house.chosen.name, house.chosen.state, house.chosen.problem) == ("small", "ready", "")
    assert ("small", "failed") not in house.told
    house.made[0].told("failed", "it crashed")
    assert house.chosen.problem == "it crashed" and house.told[-1] == ("small", "failed")
    await house.chosen.close()


async def test_the_model_can_be_left_and_is_closed_when_its_answers_have_ended() -> None:
    house = House()
    await house.chosen.use(Path("small.gguf"))
    assert "agentd model use none" in await house.chosen.use(None)
    assert (house.chosen.chosen, house.chosen.name, house.chosen.problem) == (False, "", "")
    async with asyncio.timeout(60):
        await house.made[0].closed.wait()
    await house.chosen.use(None)
    await house.chosen.close()


async def test_an_answer_that_runs_ends_with_the_model_that_began_it() -> None:
    house = House()
    await house.chosen.use(Path("old.gguf"))
    old = house.made[0]
    old.gate.clear()
    running = asyncio.create_task(answer(house.chosen), name="answer")
    async with asyncio.timeout(60):
        while not old.running:  # noqa: ASYNC110 - the fake has no event for its first request
            await asyncio.sleep(0)
        await house.chosen.use(Path("new.gguf"))
        assert not old.closed.is_set()
        old.gate.set()
        assert TextDelta(text="two ") in await running
        await old.closed.wait()
    assert house.chosen.name == "new" and not house.made[1].closed.is_set()
    await house.chosen.close()
    assert house.made[1].closed.is_set()


async def test_the_model_of_the_settings_is_loaded_in_the_background_and_its_fault_is_its_state() -> None:
    house = House()
    house.chosen.begin(Path("broken.gguf"))
    assert house.chosen.name == "broken"
    async with asyncio.timeout(60):
        while house.chosen.state != "failed":  # noqa: ASYNC110 - the state is what a person polls
            await asyncio.sleep(0)
    assert house.chosen.problem == "not a GGUF file"
    await house.chosen.close()


async def test_without_a_first_model_there_is_none_until_one_is_chosen() -> None:
    house = House()
    chosen = ChosenModel(None, house.build, lambda name, state, reason: None)
    assert not chosen.chosen and not chosen.tools and not chosen.cites and not chosen.writes and chosen.name == ""
    with pytest.raises(ModelError, match="agentd model use"):
        await answer(chosen)
    await chosen.use(Path("small.gguf"))
    assert chosen.chosen and TextDelta(text="one ") in await answer(chosen)
    await chosen.close()


async def test_tokens_are_counted_by_the_model_of_the_moment() -> None:
    assert await House().chosen.count_tokens(REQUEST) == 2


async def test_the_context_is_that_of_the_model_of_the_moment() -> None:
    class Sized(ScriptedModel):
        async def context(self, limits: Limits) -> int | None:
            return 77

    house = House()
    assert await house.chosen.context(Limits()) is None
    assert await ChosenModel(Sized(), house.build, lambda name, state, reason: None).context(Limits()) == 77


async def test_how_fast_it_is_and_what_it_reads_ahead_is_that_of_the_model_of_the_moment() -> None:
    class Quick(ScriptedModel):
        async def warm(self, request: ModelRequest) -> int:
            return len(request.messages)

    pace = Pace(read=100.0, write=10.0)
    chosen = ChosenModel(Quick(pace=pace), lambda path, told: ScriptedModel(), lambda *_: None)
    assert chosen.pace == pace and await chosen.warm(REQUEST) == 1
    await chosen.use(Path("/models/plain.gguf"))
    assert chosen.pace is None and await chosen.warm(REQUEST) == 0
    await chosen.use(None)
    assert chosen.pace is None
    with pytest.raises(ModelError, match="No local model"):
        await chosen.warm(REQUEST)
    await chosen.close()
