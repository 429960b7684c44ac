"""Checks a `ModelRequest` and turns it into a message for the child."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

from agentd.errors import ModelError
from agentd.evidence.passages import render_passage
from agentd.models.llama.advice import NO_ADVICE, Advice, settled
from agentd.models.llama.schema import calls_schema, check_schema
from agentd.models.llama.wire import ChatMessage, Choice, Count, Generate, Piece, Tool, ToolCall, Warm
from agentd.ports.generation import (
    Message,
    ModelRequest,
    PassagePart,
    Sampling,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Trust,
)
from agentd.text.plain import plain
from agentd.text.untrusted import neutral

MOST_STOPS, LONGEST_STOP = 16, 200
LONGEST_TOOLS, MOST_ARGUMENTS = 512 * 1024, 256 * 1024
"""Characters of all tools as a template may write them, in lines and with indents, and of the arguments of all calls.
A template that writes too much is given up for good, so what would make it do so is refused before.
"""
MAX_SEED = 2**32 - 2
"""For llama.cpp the largest 32-bit number means "any seed"."""


def generate_message(request: ModelRequest, number: int, advice: Advice = NO_ADVICE) -> Generate:
    """`advice` says how to sample if the request leaves it open.

    `ModelError` names a setting that is out of range, or what this model cannot do.
    """
    schema = calls_schema(request.tools) if request.must_call else request.schema
    if schema is not None:
        check_schema(schema)
    sampling = request.sampling
    chosen = settled(sampling, advice)
    _check(sampling, chosen)
    return Generate(
        id=number,
        session=request.session_id,
        messages=_messages(request),
        tools=_tools(request),
        choice=Choice(
            **asdict(chosen),
            seed=int.from_bytes(os.urandom(4)) % MAX_SEED if sampling.seed is None else sampling.seed,
        ),
        max_tokens=sampling.max_tokens,
        stop=sampling.stop,
        priority=request.priority,
        answer_schema=schema,
    )


def count_message(request: ModelRequest, number: int) -> Count:
    return Count(id=number, messages=_messages(request), tools=_tools(request))


def warm_message(request: ModelRequest, number: int) -> Warm:
    return Warm(id=number, messages=_messages(request), tools=_tools(request))


def _check(sampling: Sampling, chosen: Advice) -> None:
    in_range = {
        "temperature (0 to 5)": 0 <= chosen.temperature <= 5,
        "top_k (0, which is off, to 1000000)": 0 <= chosen.top_k <= 1_000_000,
        "top_p (above 0, to 1)": 0 < chosen.top_p <= 1,
        "min_p (0 to 1)": 0 <= chosen.min_p <= 1,
        "repeat_penalty (0.1 to 10)": 0.1 <= chosen.repeat_penalty <= 10,
        f"seed (0 to {MAX_SEED})": sampling.seed is None or 0 <= sampling.seed <= MAX_SEED,
        "max_tokens (1 to 1000000)": 1 <= sampling.max_tokens <= 1_000_000,
        f"stop (at most {MOST_STOPS}, each of 1 to {LONGEST_STOP} characters)": len(sampling.stop) <= MOST_STOPS
        and all(1 <= len(stop) <= LONGEST_STOP for stop in sampling.stop),
    }
    wrong = [name for name, fits in in_range.items() if not fits]
    if wrong:
        raise ModelError(f"The sampling settings are out of range: {', '.join(wrong)}.")


def _messages(request: ModelRequest) -> tuple[ChatMessage, ...]:
    if not request.messages:
        raise ModelError("There is nothing to answer: the request has no messages.")
    messages = tuple(part for message in request.messages for part in _of_message(message))
    arguments = sum(len(call.arguments) for message in messages for call in message.calls)
    if arguments > MOST_ARGUMENTS:
        raise ModelError(
            f"The calls in this conversation have arguments of {arguments:,} characters, more than {MOST_ARGUMENTS:,}; "
            "leave out the oldest."
        )
    return messages


def _tools(request: ModelRequest) -> tuple[Tool, ...]:
    written = len(json.dumps([(tool.description, tool.parameters) for tool in request.tools], indent=4))
    if written > LONGEST_TOOLS:
        raise ModelError(f"The tools have {written:,} characters, more than {LONGEST_TOOLS:,}; offer fewer of them.")
    return tuple(
        Tool(name=tool.name, description=plain(tool.description), parameters=tool.parameters) for tool in request.tools
    )


def _of_message(message: Message) -> Iterator[ChatMessage]:
    """The message itself with its calls, then a message for each result in it."""
    pieces = tuple(_piece(part) for part in message.parts if isinstance(part, TextPart | PassagePart))
    calls = tuple(
        ToolCall(call_id=part.call_id, tool=plain(part.tool), arguments=neutral(part.arguments))
        for part in message.parts
        if isinstance(part, ToolCallPart)
    )
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    if calls:
        yield ChatMessage(role="assistant", pieces=pieces, calls=calls)
    elif pieces or not results:
        yield ChatMessage(role=message.role, pieces=pieces)
    for part in results:
        result = _as_piece(part.text, part.trust)
        yield ChatMessage(role="tool", pieces=(result,), call_id=part.call_id, tool=plain(part.tool))


def _piece(part: TextPart | PassagePart) -> Piece:
    text = part.text if isinstance(part, TextPart) else render_passage(part.passage, numbered=part.numbered)
    return _as_piece(text, part.trust)


def _as_piece(text: str, trust: Trust) -> Piece:
    trusted = trust == "trusted"
    return Piece(text=plain(text) if trusted else neutral(text), trusted=trusted)
