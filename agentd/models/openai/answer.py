"""The chunks of a streamed chat completion become deltas; whatever a server leaves out or adds is no error."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from agentd.generation import Delta, Finish, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage

THINK, END_THINK = "<think>", "</think>"


class NoChunk(Exception):
    """What came is no chunk of a chat completion."""


class Withheld(Exception):
    """The server's filter withheld the answer, or the rest of it."""


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _as_text(value: object) -> object:
    """Some servers give the arguments as the object that they are, not as its text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


class _Function(_Lenient):
    name: str | None = None
    arguments: Annotated[str | None, BeforeValidator(_as_text)] = None


class _Call(_Lenient):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Said(_Lenient):
    """llama-server and vLLM say `reasoning_content`, Ollama and others `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Annotated[tuple[_Call, ...], BeforeValidator(_none_is_empty)] = ()


class _Choice(_Lenient):
    delta: _Said = _Said()
    finish_reason: str | None = None


class _PromptDetails(_Lenient):
    cached_tokens: int | None = None


class _Usage(_Lenient):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Timings(_Lenient):
    """What llama-server measures, in milliseconds (tools/server/README.md)."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class _Progress(_Lenient):
    """How far llama-server has read a prompt: tokens of it, those that were in its cache, those done with (README)."""

    total: int = 0
    cache: int = 0
    processed: int = 0
    time_ms: float = 0.0


class _Chunk(_Lenient):
    choices: Annotated[tuple[_Choice, ...], BeforeValidator(_none_is_empty)] = ()
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None


class Answer:
    """Feed it the chunks of one answer, as JSON values, in order."""

    def __init__(self) -> None:
        self._tags = _Tags()
        self._calls: list[tuple[int, str]] = []
        """Index and id, as the server gives them, of each tool call."""
        self._usage: _Usage | None = None
        self._timings: _Timings | None = None
        self._reason: str | None = None
        self.characters = 0
        """Of answer, reasoning and calls together."""

    @property
    def ended(self) -> bool:
        """The server has said that the answer is whole; only figures may follow."""
        return self._reason is not None

    def feed(self, data: object) -> list[Delta]:
        """What a chunk adds. `NoChunk` for anything else, `Withheld` where a filter ended the answer."""
        try:
            chunk = _Chunk.model_validate(data)
        except ValidationError as error:
            raise NoChunk(str(error.errors(include_url=False)[0]["msg"])) from None
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        deltas: list[Delta] = [] if chunk.prompt_progress is None else _reading(chunk.prompt_progress)
        for choice in chunk.choices[:1]:
            deltas += self._said(choice.delta)
            if choice.finish_reason == "content_filter":
                raise Withheld
            self._reason = choice.finish_reason or self._reason
        return deltas

    def finish(self) -> list[Delta]:
        """What is left, the figures if the server gave them, and the end; only once it has `ended`."""
        deltas = self._tags.finish()
        if self._usage is not None:
            details = self._usage.prompt_tokens_details
            deltas.append(
                Usage(
                    prompt_tokens=self._usage.prompt_tokens,
                    cached_tokens=(details.cached_tokens or 0) if details else 0,
                    completion_tokens=self._usage.completion_tokens,
                    read_seconds=self._timings.prompt_ms / 1000 if self._timings else 0.0,
                    write_seconds=self._timings.predicted_ms / 1000 if self._timings else 0.0,
                )
            )
        if self._calls:
            return [*deltas, Finish(reason="tool_calls")]
        return [*deltas, Finish(reason="length" if self._reason == "length" else "stop")]

    def _said(self, said: _Said) -> list[Delta]:
        deltas: list[Delta] = []
        if reasoning := said.reasoning_content or said.reasoning:
            deltas.append(ReasoningDelta(text=reasoning))
        if said.content:
            deltas += self._tags.feed(said.content)
        deltas += [self._call(call) for call in said.tool_calls]
        self.characters += len(said.content or "") + len(reasoning or "")
        self.characters += sum(len(call.function.arguments or "") for call in said.tool_calls)
        return deltas

    def _call(self, call: _Call) -> Delta:
        """Some servers give every call the index 0, and some give no ids."""
        number = next((n for n in reversed(range(len(self._calls))) if self._calls[n][0] == call.index), None)
        if number is None or (call.id and call.id != self._calls[number][1]):
            number = len(self._calls)
            self._calls.append((call.index, call.id or f"call_{number}"))
        return ToolCallDelta(
            index=number,
            call_id=self._calls[number][1],
            name=call.function.name or "",
            arguments=call.function.arguments or "",
        )


def _reading(progress: _Progress) -> list[Delta]:
    """Nothing where all was in the server's cache."""
    done, total = progress.processed - progress.cache, progress.total - progress.cache
    if not 0 <= done <= total or not total:
        return []
    return [Reading(done=done, total=total, seconds=progress.time_ms / 1000 / done * (total - done) if done else None)]


class _Tags:
    """Takes reasoning out that a server left in the text: what begins it and stands between `THINK` and its end."""

    def __init__(self) -> None:
        self._held = ""
        self._where = "start"

    def feed(self, text: str) -> list[Delta]:
        if self._where == "answer":
            return [TextDelta(text=text)]
        self._held += text
        if self._where == "start":
            begun = self._held.lstrip()
            if THINK.startswith(begun[: len(THINK)]):
                if len(begun) < len(THINK):
                    return []
                self._held, self._where = begun[len(THINK) :], "reasoning"
            else:
                return self._answer()
        return self._reasoning()

    def finish(self) -> list[Delta]:
        rest, self._held = self._held, ""
        if not rest:
            return []
        return [ReasoningDelta(text=rest) if self._where == "reasoning" else TextDelta(text=rest)]

    def _answer(self) -> list[Delta]:
        self._where = "answer"
        return self.finish()

    def _reasoning(self) -> list[Delta]:
        thought, end, rest = self._held.partition(END_THINK)
        if end:
            self._held = rest.lstrip()
            said: list[Delta] = [ReasoningDelta(text=thought)] if thought else []
            return said + self._answer()
        keep = next((n for n in range(len(END_THINK) - 1, 0, -1) if self._held.endswith(END_THINK[:n])), 0)
        cut = len(self._held) - keep
        thought, self._held = self._held[:cut], self._held[cut:]
        return [ReasoningDelta(text=thought)] if thought else []


def error_text(body: Any) -> str:
    """What a server says went wrong, from the body of its reply; "" where it says nothing readable."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or ""
    return error if isinstance(error, str) else ""
