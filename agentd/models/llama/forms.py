"""A conversation in other forms, for chat templates without calls, system messages, or two messages in a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentd.evidence.call_forms import Call
from agentd.models.llama.family import Family
from agentd.models.llama.wire import ChatMessage, Piece, Tool, ToolCall
from agentd.text.structure import nesting

DEEPEST = 16
"""How deep arguments are nested that are given to a template as an object."""


def arguments(call: ToolCall) -> Any:
    """The arguments as an object; as they are if they are not one, or if a template might choke on it."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    return arguments if isinstance(arguments, dict) and nesting(arguments) <= DEEPEST else call.arguments


def one_by_one(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same conversation for a template that knows one call per message: each call is followed by its result."""
    found: list[ChatMessage] = []
    results = {message.call_id: message for message in messages if message.role == "tool"}
    done: set[str] = set()
    for message in messages:
        if len(message.calls) < 2:
            found += [] if message.role == "tool" and message.call_id in done else [message]
            continue
        pieces = message.pieces
        for call in message.calls:
            found.append(ChatMessage(role=message.role, pieces=pieces, calls=(call,)))
            found += [results[call.call_id]] if call.call_id in results else []
            done.add(call.call_id)
            pieces = ()
    return found


def plain(messages: Sequence[ChatMessage], family: Family | None) -> list[ChatMessage]:
    """The same conversation for a template that knows no calls: calls and their results become text."""
    found: list[ChatMessage] = []
    for message in messages:
        if message.calls:
            found.append(ChatMessage(role=message.role, pieces=(*message.pieces, *_written(message.calls, family))))
        elif message.role == "tool":
            heading = (
                Piece(text="Result of ", trusted=True),
                Piece(text=message.tool, trusted=False),
                Piece(text=":\n", trusted=True),
            )
            found.append(ChatMessage(role="user", pieces=(*heading, *message.pieces)))
        else:
            found.append(message)
    return found


def _written(calls: Sequence[ToolCall], family: Family | None) -> tuple[Piece, ...]:
    as_objects = all(isinstance(arguments(call), dict) for call in calls)
    if family is not None and as_objects:
        return family.write([Call(name=call.tool, arguments=call.arguments) for call in calls])
    return tuple(Piece(text=f"Called {call.tool} with {call.arguments}\n", trusted=False) for call in calls)


TOOLS = """\
You may call these tools. To call one, write nothing but a JSON object with its name and its arguments, such as \
{"name": "NAME", "arguments": {"KEY": "VALUE"}}. The tools:
"""


def with_tools(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> list[ChatMessage]:
    """The same conversation for a template that knows no tools: the system message tells of them."""
    told = "\n".join(json.dumps(tool.model_dump(), ensure_ascii=False) for tool in tools)
    pieces = (Piece(text=TOOLS, trusted=True), Piece(text=told, trusted=False))
    first, *others = messages
    if first.role == "system":
        apart = Piece(text="\n\n", trusted=True)
        return [ChatMessage(role="system", pieces=(*first.pieces, apart, *pieces)), *others]
    return [ChatMessage(role="system", pieces=pieces), *messages]


def fold(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same conversation for a template without system messages, in which user and assistant must alternate."""
    folded: list[ChatMessage] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if folded and folded[-1].role == role:
            apart = Piece(text="\n\n", trusted=True)
            folded[-1] = ChatMessage(role=folded[-1].role, pieces=(*folded[-1].pieces, apart, *message.pieces))
        else:
            folded.append(ChatMessage(role="assistant" if role == "assistant" else "user", pieces=message.pieces))
    return folded
