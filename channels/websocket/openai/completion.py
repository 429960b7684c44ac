"""The replies of `POST /v1/chat/completions`: whole, and as the chunks of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from agentd.records import CalledTool
from agentd.serving.protocol import Answer
from channels.websocket.openai.events import DONE, event
from channels.websocket.openai.turned import AgentdFields, Turned, fields_of, usage_of

FinishReason = Literal["stop", "length", "tool_calls"]


class CachedTokens(BaseModel):
    cached_tokens: int


class ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class CalledFunction(BaseModel):
    name: str
    arguments: str


class MadeCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatAnswer(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: Sequence[MadeCall] | None = None


class Choice(BaseModel):
    index: int = 0
    message: ChatAnswer
    finish_reason: FinishReason
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: Sequence[Choice]
    usage: ChatUsage
    agentd: AgentdFields


def finish_reason(answer: Answer) -> FinishReason:
    if answer.outcome == "calls":
        return "tool_calls"
    return "length" if answer.cut_off else "stop"


def chat_usage(answer: Answer) -> ChatUsage:
    used = usage_of(answer)
    return ChatUsage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.prompt_tokens + used.completion_tokens,
        prompt_tokens_details=CachedTokens(cached_tokens=used.cached_tokens),
    )


def _call(call: CalledTool) -> MadeCall:
    return MadeCall(id=call.call_id, function=CalledFunction(name=call.tool, arguments=call.arguments))


class ChatReply:
    """Of one turn; a stream is `begin`, any number of `more`, and `end`."""

    media_type = "text/event-stream"

    def __init__(self, turned: Turned, *, usage: bool) -> None:
        self._turned = turned
        self._usage = usage

    def whole(self, answer: Answer) -> ChatCompletion:
        turned, calls = self._turned, tuple(map(_call, answer.calls))
        text = turned.text(answer)
        return ChatCompletion(
            id=self._id,
            created=turned.created,
            model=turned.model,
            choices=(
                Choice(
                    message=ChatAnswer(content=text or (None if calls else ""), tool_calls=calls or None),
                    finish_reason=finish_reason(answer),
                ),
            ),
            usage=chat_usage(answer),
            agentd=fields_of(turned, answer),
        )

    def accepted(self) -> None:
        """A chat completion is waited for."""

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def more(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def end(self, answer: Answer) -> bytes:
        """After all of the text."""
        events = [self.more(ending)] if (ending := self._turned.ending(answer)) else []
        events += [self._calling(n, call) for n, call in enumerate(answer.calls)]
        known = fields_of(self._turned, answer).model_dump(mode="json")
        events.append(self._chunk({}, finish_reason(answer), agentd=known))
        if self._usage:
            events.append(event(self._members([], usage=chat_usage(answer).model_dump())))
        return b"".join([*events, DONE])

    @property
    def _id(self) -> str:
        return f"chatcmpl-{self._turned.turn}"

    def _calling(self, index: int, call: CalledTool) -> bytes:
        return self._chunk({"tool_calls": [{"index": index, **_call(call).model_dump()}]})

    def _chunk(self, delta: Mapping[str, Any], finish: FinishReason | None = None, **members: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        no_usage = {"usage": None} if self._usage else {}
        return event(self._members([choice], **no_usage, **members))

    def _members(self, choices: Sequence[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._turned.created,
            "model": self._turned.model,
            "choices": choices,
            **members,
        }
