"""How fast a model reads a prompt and writes an answer on this machine: measured, or learned from requests."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from agentd.errors import ModelError
from agentd.ports.generation import Limits, Message, ModelRequest, ReasoningDelta, Sampling, TextDelta, TextPart, Usage
from agentd.ports.models import Bounded, ChatModel, Pace

WORDS = "time year people way day man thing woman life child world school state family student group country".split()
TASK = "\n\nWrite a very long story in which all of these words occur."
LEAST_WORDS = 8
LEAST_READ, LEAST_WRITTEN = 64, 16
"""Tokens that a request must have so that it counts: with fewer, the cost of a step hides the speed."""
NEWEST = 0.3
"""The weight of the newest request; all earlier ones have the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Tokens per second of reading and writing; `first_token` in seconds. `write` is 0 after a single token."""

    read: float
    write: float
    first_token: float
    read_tokens: int
    written_tokens: int


def learned(pace: Pace, *, read: int, read_seconds: float, written: int, write_seconds: float) -> Pace:
    """The pace after a request that read and wrote so many tokens in these times."""
    return Pace(
        read=_newer(pace.read, read, read_seconds, LEAST_READ),
        write=_newer(pace.write, written, write_seconds, LEAST_WRITTEN),
    )


def _newer(known: float, tokens: int, seconds: float, least: int) -> float:
    if tokens < least or seconds <= 0:
        return known
    return NEWEST * tokens / seconds + (1 - NEWEST) * known if known else tokens / seconds


async def measure(
    model: ChatModel, *, prompt_tokens: int = 512, answer_tokens: int = 64, rounds: int = 3
) -> AsyncIterator[Speed]:
    """One figure for each round. No prompt begins like an earlier one, so that no cache helps.

    If the context of the model is too small, the prompts are shorter than was asked.
    """
    context = await model.context(Limits()) if isinstance(model, Bounded) else None
    if context is not None:
        prompt_tokens = min(prompt_tokens, max(64, context - answer_tokens - 64))
    words = await _words_for(model, prompt_tokens, answer_tokens)
    for n in range(rounds):
        yield await _round(model, _request(n + 1, words, answer_tokens))


def median(speeds: list[Speed]) -> Speed:
    """The median of each figure."""
    return Speed(
        read=statistics.median(speed.read for speed in speeds),
        write=statistics.median(speed.write for speed in speeds),
        first_token=statistics.median(speed.first_token for speed in speeds),
        read_tokens=round(statistics.median(speed.read_tokens for speed in speeds)),
        written_tokens=round(statistics.median(speed.written_tokens for speed in speeds)),
    )


async def _words_for(model: ChatModel, prompt_tokens: int, answer_tokens: int) -> int:
    """How many words make a prompt of about so many tokens."""
    few, many = [await model.count_tokens(_request(0, words, answer_tokens)) for words in (LEAST_WORDS, 108)]
    each = max((many - few) / 100, 0.1)
    return max(LEAST_WORDS, round((prompt_tokens - few) / each))


async def _round(model: ChatModel, request: ModelRequest) -> Speed:
    clock = asyncio.get_running_loop().time
    began, first, usage = clock(), 0.0, None
    async with aclosing(model.stream(request)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta | ReasoningDelta):
                first = first or clock()
            elif isinstance(delta, Usage):
                usage = delta
    ended = clock()
    if usage is None or not first:
        raise ModelError(f"{model.name} gave no answer that could be measured; choose another model.")
    return Speed(
        read=(usage.prompt_tokens - usage.cached_tokens) / (first - began),
        write=(usage.completion_tokens - 1) / (ended - first) if usage.completion_tokens > 1 else 0.0,
        first_token=first - began,
        read_tokens=usage.prompt_tokens - usage.cached_tokens,
        written_tokens=usage.completion_tokens,
    )


def _request(n: int, words: int, answer_tokens: int) -> ModelRequest:
    chosen = random.Random(n).choices(WORDS, k=words)
    text = " ".join(chosen) + TASK
    return ModelRequest(
        messages=(Message(role="user", parts=(TextPart(text=text),)),),
        session_id=f"bench {n}",
        turn_id=f"bench {n}",
        sampling=Sampling(max_tokens=answer_tokens, seed=n),
    )
