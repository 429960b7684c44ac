"""A `ModelRequest` as the body of a chat completion, in the dialect of the server.

The form is OpenAI's (https://platform.openai.com/docs/api-reference/chat/create). What llama-server and vLLM accept
besides is in tools/server/README.md of llama.cpp and on vLLM's page about its OpenAI-compatible server.
"""

from __future__ import annotations

from typing import Any, Literal

from agentd.errors import ModelError
from agentd.evidence.passages import render_passage
from agentd.ports.generation import (
    Message,
    ModelRequest,
    Part,
    PassagePart,
    Sampling,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Trust,
)
from agentd.text.plain import plain
from agentd.text.untrusted import neutral

Dialect = Literal["standard", "openai", "llama-server", "vllm"]


def completion_body(request: ModelRequest, *, model: str, dialect: Dialect, slot: int | None = None) -> dict[str, Any]:
    """The JSON of a streamed completion; `slot` pins the request to one of llama-server's slots."""
    body: dict[str, Any] = {
        "model": model,
        "messages": chat_messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(request.sampling, dialect),
    }
    if request.tools:
        body["tools"] = tool_specs(request)
        if request.must_call:
            body["tool_choice"] = "required"
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if dialect == "llama-server":
        body["cache_prompt"] = body["return_progress"] = True
        if slot is not None:
            body["id_slot"] = slot
    return body


def chat_messages(request: ModelRequest) -> list[dict[str, Any]]:
    """The conversation; each result of a tool is a separate message."""
    if not request.messages:
        raise ModelError("There is nothing to answer: the request has no messages.")
    return [written for message in request.messages for written in _messages(message)]


def tool_specs(request: ModelRequest) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in request.tools
    ]


def _messages(message: Message) -> list[dict[str, Any]]:
    calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    text = "".join(_text(part) for part in message.parts)
    written: list[dict[str, Any]] = []
    if calls:
        written.append({"role": "assistant", "content": text or None, "tool_calls": [_call(call) for call in calls]})
    elif text or not results:
        written.append({"role": "user" if message.role == "tool" else message.role, "content": text})
    written += [_result(part) for part in results]
    return written


def _result(part: ToolResultPart) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": neutral(part.call_id), "content": _written(part.text, part.trust)}


def _call(part: ToolCallPart) -> dict[str, Any]:
    return {
        "id": neutral(part.call_id),
        "type": "function",
        "function": {"name": neutral(part.tool), "arguments": neutral(part.arguments)},
    }


def _text(part: Part) -> str:
    match part:
        case TextPart():
            return _written(part.text, part.trust)
        case PassagePart():
            return _written(render_passage(part.passage, numbered=part.numbered), part.trust)
        case _:
            return ""


def _written(text: str, trust: Trust) -> str:
    """A server interprets its model's control tokens wherever they stand, so untrusted text must have none."""
    return plain(text) if trust == "trusted" else neutral(text)


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    longest = "max_completion_tokens" if dialect == "openai" else "max_tokens"
    body: dict[str, Any] = {longest: sampling.max_tokens}
    # The server chooses what is left open.
    body |= _given(temperature=sampling.temperature, top_p=sampling.top_p)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if dialect in ("llama-server", "vllm"):
        penalty = "repeat_penalty" if dialect == "llama-server" else "repetition_penalty"
        # "No limit" is -1 for vLLM (since 0.8 also 0) and 0 for llama-server; to leave it out means their defaults.
        top_k = -1 if sampling.top_k == 0 and dialect == "vllm" else sampling.top_k
        body |= _given(top_k=top_k, min_p=sampling.min_p, **{penalty: sampling.repeat_penalty})
    return body


def _given(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
