"""If one model cannot answer, the next one does, and everybody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.errors import Busy, ModelError, ModelUnavailable, PromptTooLong, TimedOut, UsageError
from agentd.models.choice import ChosenModel, State
from agentd.models.extractive import STANDING_IN, ExtractiveModel
from agentd.models.failover import NO_MODEL, REST, FailoverModel
from agentd.ports.generation import (
    Delta,
    Finish,
    HandedOver,
    Limits,
    Message,
    ModelRequest,
    Notice,
    Restarted,
    TextDelta,
    TextPart,
    ToolSpec,
)
from agentd.ports.models import ChatModel, Pace
from agentd.records import Principal
from agentd.testing.model import ScriptedModel, says

TOOL = ToolSpec(name="add", description="adds", parameters={})
DOWN = ModelUnavailable("the server is down")


def request(*, tools: tuple[ToolSpec, ...] = ()) -> ModelRequest:
    messages = (Message(role="user", parts=(TextPart(text="one two"),)),)
    return ModelRequest(messages=messages, session_id="s", turn_id="t", tools=tools)


class Named(ScriptedModel):
    """A scripted model with a name; each stream takes the next script, the last one for good."""

    def __init__(self, name: str, *scripts: Iterable[Delta | Exception], tools: bool = False) -> None:
        left = [list(script) for script in scripts or [says(name)]]
        super().__init__(lambda request: left.pop(0) if len(left) > 1 else left[0], tools=tools)
        self.name = name


class FileModel(Named):
    def __init__(self, path: Path, told: Callable[[State, str], None]) -> None:
        super().__init__(path.stem)
        self.told = told
        self.closed = False

    async def start(self) -> int:
        if self.name == "broken":
            self.told("failed", "not a GGUF file")
            raise ModelError("not a GGUF file")
        return 1

    async def close(self) -> None:
        self.closed = True


class House:
    def __init__(self, **models: ChatModel) -> None:
        self.now = 0.0
        self.told: list[tuple[str, State, str]] = []
        self.made: list[FileModel] = []
        self.local = ChosenModel(None, self.build, self.tell)
        roles = {role: self.local if role == "local" else model for role, model in models.items()}
        self.model = FailoverModel(roles, self.local, self.tell, clock=lambda: self.now)

    def build(self, path: Path, told: Callable[[State, str], None]) -> FileModel:
        self.made.append(FileModel(path, told))
        return self.made[-1]

    def tell(self, name: str, state: State, reason: str) -> None:
        self.told.append((name, state, reason))

    async def answer(self, asked: ModelRequest | None = None) -> list[Delta]:
        async with aclosing(self.model.stream(asked or request())) as deltas:
            return [delta async for delta in deltas]


async def test_the_first_model_answers_while_it_can() -> None:
    house = House(remote=Named("big"), extractive=Named("sentences"))
    assert await house.answer() == [TextDelta(text="big"), Finish(reason="stop")]
    assert (house.model.name, house.model.state, house.model.problem) == ("big", "ready", "")
    assert await house.model.count_tokens(request()) == 2


@pytest.mark.parametrize("error", [DOWN, ModelError("no"), TimedOut("slow"), Busy("full")])
async def test_the_next_model_answers_where_the_first_cannot_and_says_why(error: Exception) -> None:
    house = House(remote=Named("big", [error]), extractive=Named("sentences"))
    assert await house.answer() == [
        HandedOver(model="sentences", reason=str(error)),
        TextDelta(text="sentences"),
        Finish(reason="stop"),
    ]


class NoDocuments:
    async def counts(self, principal: Principal) -> tuple[int, int]:
        return 0, 0


async def test_only_a_model_that_is_not_the_preferred_one_stands_in() -> None:
    greeting = replace(request(), messages=(Message(role="user", parts=(TextPart(text="Hello!", trust="untrusted"),)),))
    preferred = House(extractive=ExtractiveModel(NoDocuments()), remote=Named("big"))
    second = House(remote=Named("big", [DOWN]), extractive=ExtractiveModel(NoDocuments()))
    for house, stands_in in ((preferred, False), (second, True)):
        deltas = await house.answer(greeting)
        text = "".join(delta.text for delta in deltas if isinstance(delta, Notice))
        assert text and (text == STANDING_IN) is stands_in


async def test_what_had_begun_is_void_before_another_model_starts_again() -> None:
    house = House(remote=Named("big", [TextDelta(text="half"), DOWN]), extractive=Named("sentences"))
    assert await house.answer() == [
        TextDelta(text="half"),
        Restarted(reason="the server is down"),
        HandedOver(model="sentences", reason="the server is down"),
        TextDelta(text="sentences"),
        Finish(reason="stop"),
    ]


async def test_an_error_of_ours_is_no_reason_to_ask_another_model() -> None:
    house = House(remote=Named("big", [RuntimeError("a bug")]), extractive=Named("sentences"))
    with pytest.raises(RuntimeError):
        await house.answer()


async def test_a_model_that_is_unavailable_rests_and_is_asked_again_later() -> None:
    big = Named("big", [DOWN], says("back"))
    house = House(remote=big, extractive=Named("sentences"))
    await house.answer()
    assert house.told == [("big", "failed", "the server is down")]
    assert (house.model.name, house.model.state, house.model.problem) == ("big", "failed", "the server is down")
    assert (await house.answer())[0] == HandedOver(model="sentences", reason="the server is down")
    assert len(big.requests) == 1, "the second turn did not wait for it"
    house.now = REST + 1
    assert await house.answer() == [TextDelta(text="back"), Finish(reason="stop")]
    assert house.told[-1] == ("big", "ready", "") and house.model.problem == ""


async def test_a_refused_request_is_no_reason_to_rest() -> None:
    big = Named("big", [ModelError("too long")], says("fine"))
    house = House(remote=big, extractive=Named("sentences"))
    await house.answer()
    assert (await house.answer())[0] == TextDelta(text="fine") and house.told == []


async def test_a_model_that_rests_is_asked_when_no_other_can_answer() -> None:
    house = House(remote=Named("big", [DOWN], says("after all")), extractive=Named("sentences", says("x"), [DOWN]))
    await house.answer()
    assert TextDelta(text="after all") in await house.answer()


async def test_where_none_can_answer_the_error_says_of_each_why() -> None:
    house = House(remote=Named("big", [DOWN]), extractive=Named("sentences", [ModelError("nothing found")]))
    with pytest.raises(ModelError, match=r"big: the server is down; sentences: nothing found"):
        await house.answer()
    alone = House(remote=Named("big", [TimedOut("slow")]))
    with pytest.raises(TimedOut, match="slow"):
        await alone.answer()


async def test_the_last_model_does_not_restart_what_nobody_goes_on_with() -> None:
    house = House(remote=Named("big", [TextDelta(text="half"), DOWN]))
    deltas = []
    with pytest.raises(ModelUnavailable):
        async for delta in house.model.stream(request()):
            deltas.append(delta)
    assert deltas == [TextDelta(text="half")]


async def test_tools_are_offered_by_and_to_those_who_can_call_them() -> None:
    big, sentences = Named("big", [DOWN], tools=True), Named("sentences")
    house = House(remote=big, extractive=sentences)
    assert house.model.tools
    await house.answer(request(tools=(TOOL,)))
    assert big.requests[0].tools == (TOOL,) and sentences.requests[0].tools == ()
    assert not house.model.tools, "while it rests, the other one is asked first"


async def test_the_tools_of_a_caller_are_offered_whatever_is_known_about_a_model() -> None:
    big = Named("big", tools=False)
    await House(remote=big).answer(replace(request(tools=(TOOL,)), handed_back=True))
    assert big.requests[0].tools == (TOOL,)


async def test_who_cites_is_known_of_the_model_that_would_be_asked() -> None:
    big = Named("big", [DOWN])
    big.cites = True
    house = House(remote=big, extractive=Named("sentences"))
    assert house.model.cites
    await house.answer(request())
    assert not house.model.cites


async def test_closing_the_stream_closes_the_model_that_answers() -> None:
    sentences = Named("sentences")
    house = House(remote=Named("big", [DOWN]), extractive=sentences)
    async with aclosing(house.model.stream(request())) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                break
    assert sentences.running == 0 and sentences.cancelled == 1


async def test_tokens_are_counted_by_the_next_model_where_the_first_cannot() -> None:
    class Mute(Named):
        async def count_tokens(self, request: ModelRequest) -> int:
            raise DOWN

    assert await House(remote=Mute("big"), extractive=Named("sentences")).model.count_tokens(request()) == 2


async def test_a_local_model_is_passed_over_until_there_is_one() -> None:
    house = House(local=Named(""), extractive=Named("sentences"))
    assert house.model.name == "sentences"
    assert (await house.answer())[0] == TextDelta(text="sentences")
    await house.model.use(Path("/m/small.gguf"))
    assert house.model.name == "small" and (await house.answer())[0] == TextDelta(text="small")
    await house.model.close()
    assert house.made[0].closed


async def test_a_model_that_is_chosen_while_it_runs_comes_before_all_others() -> None:
    house = House(remote=Named("big"), extractive=Named("sentences"))
    assert "small answers " in await house.model.use(Path("/m/small.gguf"))
    assert (await house.answer())[0] == TextDelta(text="small")
    with pytest.raises(ModelError, match="not a GGUF"):
        await house.model.use(Path("/m/broken.gguf"))
    assert (await house.answer())[0] == TextDelta(text="small")
    await house.model.close()


async def test_without_the_chosen_model_the_next_one_answers_unless_there_is_none() -> None:
    house = House(local=Named(""), extractive=Named("sentences"))
    await house.model.use(Path("/m/small.gguf"))
    assert (await house.model.use(None)).startswith("sentences answers ")
    assert await house.answer() == [TextDelta(text="sentences"), Finish(reason="stop")]
    alone = House(local=Named(""))
    await alone.model.use(Path("/m/small.gguf"))
    with pytest.raises(UsageError, match=r"model\.order"):
        await alone.model.use(None)
    assert (await alone.answer())[0] == TextDelta(text="small")
    await house.model.close()
    await alone.model.close()


async def test_a_new_choice_need_not_rest_for_an_earlier_one() -> None:
    house = House(local=Named(""), extractive=Named("sentences"))
    await house.model.use(Path("/m/small.gguf"))
    house.model._failed("local", DOWN)
    assert house.model.problem == "the server is down"
    await house.model.use(Path("/m/other.gguf"))
    assert house.model.problem == "" and (await house.answer())[0] == TextDelta(text="other")
    await house.model.close()


async def test_a_local_model_that_cannot_be_loaded_is_a_problem_and_others_answer() -> None:
    house = House(local=Named(""), extractive=Named("sentences"))
    house.model.begin(Path("/m/broken.gguf"))
    async with asyncio.timeout(60):
        while house.model.state != "failed":  # noqa: ASYNC110 - the state is what a person polls
            await asyncio.sleep(0)
    assert (house.model.name, house.model.state, house.model.problem) == ("broken", "failed", "not a GGUF file")
    await house.model.close()


async def test_without_any_model_that_is_said() -> None:
    house = House(local=Named(""))
    assert (house.model.name, house.model.state, house.model.problem) == ("none", "failed", NO_MODEL)
    assert not house.model.tools and not house.model.writes
    with pytest.raises(ModelError, match="agentd model use"):
        await house.answer()
    with pytest.raises(ModelError, match="agentd model use"):
        await house.model.count_tokens(request())


class Sized(Named):
    """A model with a context, or with the error that it raises instead; each word is a token."""

    def __init__(self, name: str, context: int | Exception | None, *scripts: Iterable[Delta | Exception]) -> None:
        super().__init__(name, *scripts)
        self.size = context

    async def context(self, limits: Limits) -> int | None:
        if isinstance(self.size, Exception):
            raise self.size
        return self.size


async def test_the_context_is_that_of_the_model_that_will_be_asked() -> None:
    house = House(remote=Sized("big", 1000, [DOWN]), other=Sized("small", 10), extractive=Named("sentences"))
    assert await house.model.context(Limits()) == 1000
    await house.answer()
    assert await house.model.context(Limits()) == 10
    house = House(other=Sized("broken", ModelError("no file")), extractive=Named("sentences"))
    assert await house.model.context(Limits()) is None
    with pytest.raises(ModelError, match="no file"):
        await House(other=Sized("broken", ModelError("no file"))).model.context(Limits())


async def test_a_model_that_does_not_load_in_time_is_asked_after_the_others() -> None:
    slow = Sized("slow", TimedOut("not loaded within 1 s"))
    house = House(other=slow, extractive=Named("sentences"))
    assert await house.model.context(Limits()) is None
    assert (await house.answer())[0] == HandedOver(model="sentences", reason="not loaded within 1 s")
    assert slow.requests == [], "nobody waited for it a second time"


async def test_a_prompt_that_is_too_long_is_no_reason_to_ask_another_model() -> None:
    house = House(remote=Named("big", [PromptTooLong("too long", context=5)]), extractive=Named("sentences"))
    with pytest.raises(PromptTooLong):
        await house.answer()
    assert house.told == []


async def test_a_prompt_that_was_made_for_a_larger_model_is_not_sent_to_a_smaller_one() -> None:
    small = Sized("small", 2)
    house = House(remote=Named("big", [DOWN]), other=small, extractive=Named("sentences"))
    with pytest.raises(PromptTooLong, match=r"2 tokens.* small .*context of 2 ") as raised:
        await house.answer()
    assert raised.value.context == 2 and small.requests == []
    small.size = 3
    assert await house.answer() == [
        HandedOver(model="small", reason="the server is down"),
        TextDelta(text="small"),
        Finish(reason="stop"),
    ]


async def test_how_fast_it_is_and_what_is_read_ahead_is_that_of_the_model_that_would_be_asked() -> None:
    class Quick(Named):
        def __init__(self, speed: float, *scripts: Iterable[Delta | Exception], tools: bool) -> None:
            super().__init__("quick", *scripts, tools=tools)
            self.pace = Pace(read=speed, write=speed)
            self.warmed: list[ModelRequest] = []

        async def warm(self, request: ModelRequest) -> int:
            self.warmed.append(request)
            return 7

    first, second = Quick(100.0, [DOWN], tools=False), Quick(5.0, tools=True)
    local = ChosenModel(None, lambda path, told: Named(path.stem), lambda *_: None)
    model = FailoverModel({"remote": first, "other": second}, local, lambda *_: None)
    assert model.pace == first.pace and await model.warm(request(tools=(TOOL,))) == 7
    assert not first.warmed[0].tools, "it is told of tools that it cannot use"
    async with aclosing(model.stream(request())) as deltas:
        assert [delta async for delta in deltas]
    assert model.pace == second.pace and await model.warm(request(tools=(TOOL,))) == 7
    assert second.warmed[0].tools == (TOOL,)


async def test_a_model_that_cannot_tell_its_speed_has_none() -> None:
    local = ChosenModel(None, lambda path, told: Named(path.stem), lambda *_: None)
    model = FailoverModel({"other": Named("plain")}, local, lambda *_: None)
    assert model.pace is None and await model.warm(request()) == 0
