"""What a turn's requests hold, counted by the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import ModelError, PromptTooLong, TimedOut
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.ports.generation import Message, ModelRequest, Sampling, TextPart, ToolCallPart, ToolResultPart, Usage
from agentd.ports.sessions import StoredMessage, Summary
from agentd.testing.gguf import write_random_model
from agentd.testing.model import ScriptedModel, results_of
from agentd.turns.prompt import BEFORE_SUMMARY, Draft
from agentd.turns.window import RESERVE, SHORTEST, Memory, Room, Window, room
from tests.builders import SESSION, TIME, passage

REQUEST = ModelRequest(messages=(), session_id=SESSION, turn_id="t999")


class Kept:
    """A history of `turns` turns, each of two messages of `size` characters, and a summary."""

    def __init__(self, turns: int = 0, size: int = 50, summary: str = "They met.") -> None:
        self.lines = [
            StoredMessage(turn_id=f"t{n:03}", role=role, text="x" * size, time=TIME)
            for n in range(turns)
            for role in ("user", "assistant")
        ]
        self.summary = summary
        self.asked: list[tuple[str, str]] = []

    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]:
        return self.lines[-limit:]

    async def of(self, session_id: str) -> Summary:
        return Summary(text=self.summary, through="t000")

    def wanted(self, session_id: str, before: str) -> None:
        self.asked.append((session_id, before))


def characters(request: ModelRequest) -> int:
    """A token for each character that is not agentd's own."""
    parts = (part for message in request.messages for part in message.parts if part.trust == "untrusted")
    return sum(
        len(str(getattr(part, "text", "") or getattr(getattr(part, "passage", None), "text", ""))) for part in parts
    )


def opened(
    kept: Kept, *, budget: int = 1000, model: ScriptedModel | None = None, memory: Memory | None = None
) -> Window:
    memory = memory or Memory(history=kept, summaries=kept)
    return Window(model or ScriptedModel(count=characters), memory, REQUEST, budget=budget)


async def test_on_another_branch_the_history_is_cut_anew() -> None:
    kept = Kept(turns=60)
    memory = Memory(history=kept, summaries=kept)
    assert turns_in(await opened(kept, memory=memory).open(Draft(question="Why?"))) < 20
    kept.lines = kept.lines[:8]
    assert turns_in(await opened(kept, memory=memory).open(Draft(question="Why?"))) == 4


def turns_in(request: ModelRequest) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def has_summary(request: ModelRequest) -> bool:
    return any(TextPart(text=BEFORE_SUMMARY, trust="trusted") in message.parts for message in request.messages)


CALL = Message(role="assistant", parts=(ToolCallPart(call_id="c", tool="look", arguments="{}"),))


def result(size: int) -> ToolResultPart:
    return ToolResultPart(call_id="c", tool="look", text="r" * size)


async def test_what_fits_is_sent_whole_and_needs_no_summary() -> None:
    kept = Kept(3)
    request = await opened(kept).open(Draft(question="Why?", passages=[passage()]))
    assert (turns_in(request), has_summary(request), kept.asked) == (3, False, [])
    assert (request.session_id, request.turn_id, request.priority) == (SESSION, "t999", "interactive")


async def test_what_is_cut_is_told_by_the_summary_and_a_new_one_is_wanted() -> None:
    kept = Kept(20)
    request = await opened(kept).open(Draft(question="Why?"))
    assert characters(request) <= 600 + len("Why?")
    assert turns_in(request) == 5 and has_summary(request)
    assert kept.asked == [(SESSION, "t015")]


async def test_the_next_turn_begins_where_this_one_did() -> None:
    kept = Kept(20)
    memory = Memory(history=kept, summaries=kept)
    first = await opened(kept, memory=memory).open(Draft(question="Why?"))
    kept.lines += Kept(21).lines[-2:]
    second = await opened(kept, memory=memory).open(Draft(question="How?"))
    assert second.messages[: len(first.messages) - 1] == first.messages[:-1]


async def test_another_model_has_its_own_cut() -> None:
    kept = Kept(20)
    memory = Memory(history=kept, summaries=kept)
    await opened(kept, memory=memory).open(Draft(question="Why?"))
    large = ScriptedModel(count=characters)
    large.name = "large"
    request = await opened(kept, memory=memory, model=large, budget=10_000).open(Draft(question="Why?"))
    assert turns_in(request) == 20


async def test_a_turn_without_room_for_any_history_is_where_the_next_one_begins() -> None:
    kept = Kept(20)
    memory = Memory(history=kept, summaries=kept)
    request = await opened(kept, memory=memory).open(Draft(question="q" * 2000))
    assert turns_in(request) == 0 and kept.asked == [(SESSION, "t999")]
    request = await opened(kept, memory=memory).open(Draft(question="Why?"))
    assert turns_in(request) == 0 and has_summary(request)


async def test_without_summaries_it_is_cut_all_the_same() -> None:
    kept = Kept(20)
    request = await opened(kept, memory=Memory(history=kept)).open(Draft(question="Why?"))
    assert turns_in(request) == 5 and not has_summary(request)


async def test_passages_give_way_after_the_history() -> None:
    window = opened(Kept(2))
    request = await window.open(Draft(question="Why?", passages=[passage(n, "p" * 300) for n in (1, 2, 3, 4)]))
    assert turns_in(request) == 0
    assert window.left_out == {4}


async def test_a_prompt_that_is_far_too_long_is_never_counted() -> None:
    def never(request: ModelRequest) -> int:
        raise AssertionError("counted")

    window = opened(Kept(3), model=ScriptedModel(count=never))
    request = await window.open(Draft(question="q" * 1_000_000))
    assert len(request.messages) == 3  # system, summary, question: the model says that it is too long


async def test_a_model_that_cannot_count_is_asked_all_the_same() -> None:
    def broken(request: ModelRequest) -> int:
        raise ModelError("it crashed while it counted")

    request = await opened(Kept(100), model=ScriptedModel(count=broken)).open(Draft(question="Why?"))
    assert 0 < turns_in(request) < 100


async def test_a_limit_that_has_passed_while_counting_ends_the_turn() -> None:
    def slow(request: ModelRequest) -> int:
        raise TimedOut("it was not loaded in time")

    with pytest.raises(TimedOut):
        await opened(Kept(1), model=ScriptedModel(count=slow)).open(Draft(question="Why?"))


async def test_results_follow_their_calls_and_count_as_part_of_a_tool_loop() -> None:
    window = opened(Kept(1))
    first = await window.open(Draft(question="Why?"))
    second = await window.extend(CALL, [result(10), result(20)])
    assert second.messages[: len(first.messages)] == first.messages
    assert [message.role for message in second.messages[len(first.messages) :]] == ["assistant", "tool", "tool"]
    assert second.priority == "tool"
    third = await window.extend(CALL, [result(30)])
    assert results_of(third) == ["r" * 10, "r" * 20, "r" * 30]
    assert third.messages[: len(second.messages)] == second.messages


async def test_the_history_gives_way_to_results() -> None:
    kept = Kept(8)
    window = opened(kept)
    assert turns_in(await window.open(Draft(question="Why?"))) == 8
    request = await window.extend(CALL, [result(500)])
    assert turns_in(request) - 1 == 2 and has_summary(request)
    assert results_of(request) == ["r" * 500]
    assert kept.asked == [(SESSION, "t006")]


@pytest.mark.parametrize("sizes", [(5000,), (5000, 10), (3000, 3000)])
async def test_results_are_shortened_where_there_is_no_room_even_so(sizes: Any) -> None:
    window = opened(Kept(8))
    await window.open(Draft(question="Why?"))
    request = await window.extend(CALL, [result(size) for size in sizes])
    assert characters(request) <= 1000
    assert turns_in(request) - 1 == 0
    for size, text in zip(sizes, results_of(request), strict=True):
        assert text == "r" * size or (text.startswith("r" * SHORTEST) and f"of {size} characters" in text)


# --- the model's own context -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "answer", "shared"),
    [
        (None, 1024, Room(prompt=5000, answer=1024, most=None)),
        (8192, 1024, Room(prompt=8192 - 1024 - RESERVE, answer=1024, most=8192 - RESERVE)),
        (2048, 1024, Room(prompt=1024 - RESERVE, answer=1024, most=2048 - RESERVE)),
        (1000, 1024, Room(prompt=500 - RESERVE, answer=500, most=1000 - RESERVE)),
        (100, 1024, Room(prompt=0, answer=50, most=36)),
        (10, 1, Room(prompt=0, answer=1, most=0)),
    ],
)
def test_prompt_and_answer_share_the_context(context: int | None, answer: int, shared: Room) -> None:
    assert room(context, answer=answer, otherwise=5000) == shared


def bounded(kept: Kept, context: int | None, *, max_tokens: int = 100, model: ScriptedModel | None = None) -> Window:
    asked = replace(REQUEST, sampling=Sampling(max_tokens=max_tokens))
    model = model or ScriptedModel(count=characters)
    return Window(model, Memory(history=kept, summaries=kept), asked, budget=100_000, context=context)


async def test_the_context_of_the_model_decides_and_not_the_budget_of_the_settings() -> None:
    request = await bounded(Kept(100), 1164).open(Draft(question="Why?"))
    assert characters(request) <= 600 + len("Why?") + len("They met.")
    assert request.sampling.max_tokens == 100


async def test_a_question_that_takes_more_than_its_share_leaves_less_to_the_answer() -> None:
    request = await bounded(Kept(), 1164).open(Draft(question="q" * 1090))
    assert request.sampling.max_tokens == 1164 - 1090
    assert (await bounded(Kept(), 1000, max_tokens=900).open(Draft(question="Why?"))).sampling.max_tokens == 500


@pytest.mark.parametrize(
    ("question", "told"), [(1101, "has 1101 tokens,"), (1_000_000, r"has 625\d\d tokens or more,")]
)
async def test_a_question_that_is_too_long_is_refused_with_the_numbers(question: int, told: str) -> None:
    with pytest.raises(PromptTooLong, match=f"{told}.* model 1164") as raised:
        await bounded(Kept(), 1164).open(Draft(question="q" * question))
    assert raised.value.context == 1164


async def test_a_short_prompt_is_not_counted_before_it_is_sent() -> None:
    def never(request: ModelRequest) -> int:
        raise AssertionError("counted")

    await bounded(Kept(), 8192, model=ScriptedModel(count=never)).open(Draft(question="Why?"))


async def test_a_model_with_less_room_gets_a_shorter_prompt_of_the_same_conversation() -> None:
    window = bounded(Kept(20), 100_000)
    draft = Draft(question="Why?", passages=[passage(n, "p" * 300) for n in (1, 2, 3, 4)])
    assert turns_in(await window.open(draft)) == 20 and not window.left_out
    await window.extend(CALL, [result(10)])
    request = await window.narrow(PromptTooLong("no", context=1164))
    assert turns_in(request) - 1 == 0 and window.left_out == {4} and results_of(request) == ["r" * 10]
    assert characters(request) <= 1000
    with pytest.raises(PromptTooLong, match=" model 200"):
        await window.narrow(PromptTooLong("no", context=200))


async def test_a_model_that_counts_otherwise_than_was_thought_gets_less() -> None:
    window = bounded(Kept(100), 1164)
    before = characters(await window.open(Draft(question="Why?")))
    assert characters(await window.narrow(PromptTooLong("no", context=1164))) < 0.85 * before
    with pytest.raises(PromptTooLong, match="nobody says how much"):
        await window.narrow(PromptTooLong("nobody says how much", context=None))


async def test_a_cut_for_a_smaller_model_is_none_for_the_larger_one() -> None:
    kept = Kept(20)
    memory = Memory(history=kept)
    for context, turns in ((100_000, 20), (1164, 5), (100_000, 20)):
        asked = replace(REQUEST, sampling=Sampling(max_tokens=100))
        window = Window(ScriptedModel(count=characters), memory, asked, budget=1, context=context)
        assert turns_in(await window.open(Draft(question="Why?"))) == turns


async def test_llama_cpp_finds_the_beginning_of_the_next_prompt_in_its_cache(tmp_path: Path) -> None:
    write_random_model(tmp_path / "tiny.gguf")
    kept = Kept(30, size=40)
    memory = Memory(history=kept)
    settings = EngineSettings(context=4096, threads=1)
    async with LlamaModel(ModelFile(path=tmp_path / "tiny.gguf"), settings) as model:
        usages = []
        for n in range(3):
            asked = replace(REQUEST, turn_id=f"t{500 + n}", sampling=Sampling(max_tokens=1, temperature=0))
            request = await Window(model, memory, asked, budget=3000).open(Draft(question=f"Why {n}?"))
            usages += [delta async for delta in model.stream(request) if isinstance(delta, Usage)]
            assert await model.count_tokens(request) == usages[-1].prompt_tokens <= 2700
            kept.lines += Kept(31, size=40).lines[-2:]
    assert turns_in(request) < 30
    assert all(usage.cached_tokens > 0.9 * usage.prompt_tokens for usage in usages[1:])
