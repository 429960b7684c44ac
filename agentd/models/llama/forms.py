"""A conversation in other forms, for chat templates without calls, system messages, or two messages in a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentd.evidence.call_forms import Call
from agentd.models.llama.family import Family
from agentd.models.llama.wire import Line, Piece, ToolCall


def arguments(call: ToolCall) -> Any:
    """The arguments as an object; as they are if they are not an object."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    return arguments if isinstance(arguments, dict) else call.arguments


def one_by_one(lines: Sequence[Line]) -> list[Line]:
    """The same conversation for a template that knows one call per message: each call is followed by its result."""
    found: list[Line] = []
    results = {line.call_id: line for line in lines if line.role == "tool"}
    done: set[str] = set()
    for line in lines:
        if len(line.calls) < 2:
            found += [] if line.role == "tool" and line.call_id in done else [line]
            continue
        pieces = line.pieces
        for call in line.calls:
            found.append(Line(role=line.role, pieces=pieces, calls=(call,)))
            found += [results[call.call_id]] if call.call_id in results else []
            done.add(call.call_id)
            pieces = ()
    return found


def plain(lines: Sequence[Line], family: Family | None) -> list[Line]:
    """The same conversation for a template that knows no calls: calls and their results become text."""
    found: list[Line] = []
    for line in lines:
        if line.calls:
            found.append(Line(role=line.role, pieces=(*line.pieces, *_written(line.calls, family))))
        elif line.role == "tool":
            heading = (
                Piece(text="Result of ", trusted=True),
                Piece(text=line.tool, trusted=False),
                Piece(text=":\n", trusted=True),
            )
            found.append(Line(role="user", pieces=(*heading, *line.pieces)))
        else:
            found.append(line)
    return found


def _written(calls: Sequence[ToolCall], family: Family | None) -> tuple[Piece, ...]:
    as_objects = all(isinstance(arguments(call), dict) for call in calls)
    if family is not None and as_objects:
        return family.write([Call(name=call.tool, arguments=call.arguments) for call in calls])
    return tuple(Piece(text=f"Called {call.tool} with {call.arguments}\n", trusted=False) for call in calls)


def fold(lines: Sequence[Line]) -> list[Line]:
    """The same conversation for a template without system messages, in which user and assistant must alternate."""
    folded: list[Line] = []
    for line in lines:
        role = "assistant" if line.role == "assistant" else "user"
        if folded and folded[-1].role == role:
            apart = Piece(text="\n\n", trusted=True)
            folded[-1] = Line(role=folded[-1].role, pieces=(*folded[-1].pieces, apart, *line.pieces))
        else:
            folded.append(Line(role="assistant" if role == "assistant" else "user", pieces=line.pieces))
    return folded
