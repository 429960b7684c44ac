"""Turns the events of a streamed chat completion into deltas; what a server leaves out or adds is not an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentd.models.openai.lenient import arguments, mapping, mappings, name, number, seconds, text, thoughts, tokens
from agentd.models.openai.thinking import Thinking
from agentd.ports.generation import Delta, Finish, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from agentd.text.characters import Joiner

MOST_CALLS = 64
"""Tool calls of one answer, and their pieces in one event; further ones are dropped."""
LONGEST_NAME = 200
"""Characters of the name of a tool, or of the id of a call."""
_TOO_LONG = ("length", "max_tokens", "max_length", "model_length")
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""llama-server and vLLM use the first, Ollama and OpenRouter the second."""
_FIGURES = ("usage", "timings", "prompt_progress")


class Withheld(Exception):
    """The server's filter withheld the answer, or the rest of it."""


class ServerFailed(Exception):
    """The server reports that it failed; `body` is its whole report."""

    def __init__(self, body: object) -> None:
        super().__init__(error_text(body))
        self.body = body


class Answer:
    """Feed it the events of one answer, as JSON values, in order; it passes on at most `most` characters.

    `thinks` says that the model begins with reasoning that it does not mark.
    """

    def __init__(self, most: int, *, thinks: bool = False) -> None:
        self._left = most
        self._thinking = Thinking(begun=thinks)
        self._reasoning = Joiner()
        self._calls = _Calls()
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}
        self._reason = ""
        self._reading = 0
        self.fed = 0
        """Events so far."""
        self.spoken = False
        """Something that belongs to a chat completion has arrived."""
        self.full = False
        """There was more than `most` characters."""

    @property
    def ended(self) -> bool:
        """The server has ended the answer; only figures may follow."""
        return bool(self._reason)

    @property
    def thinks(self) -> bool:
        """The answer began with reasoning of which only the end was marked."""
        return self._thinking.unannounced

    def feed(self, event: object) -> list[Delta]:
        """What an event adds. `ServerFailed` if it is an error, `Withheld` if a filter ended the answer."""
        self.fed += 1
        said = mapping(event)
        choices = mappings(said.get("choices"))
        if failed(said):
            raise ServerFailed(event)
        self.spoken = (
            self.spoken or isinstance(said.get("choices"), list | dict) or any(key in said for key in _FIGURES)
        )
        self._figures(said)
        deltas = self._progress(mapping(said.get("prompt_progress")))
        for choice in choices[:1]:
            deltas += self._choice(choice)
        return deltas

    def all(self, events: Iterable[object]) -> Iterator[Delta]:
        """What each of several events adds."""
        for event in events:
            yield from self.feed(event)

    def finish(self) -> list[Delta]:
        """The rest, the figures if the server gave them, and the end. Call it only for a complete answer."""
        deltas: list[Delta] = [ReasoningDelta(text=rest)] if (rest := self._reasoning.finish()) else []
        deltas += [*self._thinking.finish(), *self._calls.finish()]
        if (usage := self._told_usage()) is not None:
            deltas.append(usage)
        if self._calls.any:
            return [*deltas, Finish(reason="tool_calls")]
        return [*deltas, Finish(reason="length" if self.full or self._reason in _TOO_LONG else "stop")]

    # --- text and calls ---

    def _choice(self, choice: Mapping[str, Any]) -> list[Delta]:
        piece = choice.get("delta")
        if not piece and not self._thinking.spoken and not self._calls.any:
            piece = choice.get("message")  # of a server that does not stream
        deltas = self._said({"content": piece} if isinstance(piece, str) else mapping(piece))
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            raise Withheld
        if reason == "error":
            raise ServerFailed(choice.get("error"))
        self._reason = reason if isinstance(reason, str) and reason not in ("", "null") else self._reason
        return deltas

    def _said(self, said: Mapping[str, Any]) -> list[Delta]:
        content = said.get("content")
        reasoning = next((found for key in _REASONING if (found := text(said.get(key)))), "") or thoughts(content)
        deltas: list[Delta] = []
        if reasoning := self._reasoning.feed(self._within(reasoning)):
            deltas.append(ReasoningDelta(text=reasoning))
        if answer := self._within(text(content) or text(said.get("refusal"))):
            deltas += self._thinking.feed(answer)
        for call in self._called(said):
            function = mapping(call.get("function"))
            spent = name(call.get("id"), LONGEST_NAME) + name(function.get("name"), LONGEST_NAME)
            self._within(spent)
            deltas += self._calls.feed(call, self._within(arguments(function.get("arguments"))))
        return deltas

    def _called(self, said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        calls = mappings(said.get("tool_calls"))[:MOST_CALLS]
        if calls or not (old := mapping(said.get("function_call"))):
            return calls
        return [{"index": 0, "function": old}]

    def _within(self, piece: str) -> str:
        """The beginning of `piece` that the limit still allows."""
        kept = piece[: self._left]
        self._left -= len(kept)
        self.full = self.full or len(kept) < len(piece) or not self._left
        return kept

    # --- figures ---

    def _figures(self, said: Mapping[str, Any]) -> None:
        usage, timings = mapping(said.get("usage")), mapping(said.get("timings"))
        if tokens(usage.get("prompt_tokens")) or tokens(usage.get("completion_tokens")):
            self._usage = usage
        self._timings = timings or self._timings

    def _progress(self, progress: Mapping[str, Any]) -> list[Delta]:
        """How far llama-server has read the prompt (see its README); nothing if it was cached or has not changed."""
        cached = tokens(progress.get("cache"))
        total, done = tokens(progress.get("total")) - cached, tokens(progress.get("processed")) - cached
        if not 0 <= done <= total or not total or done < self._reading:
            return []
        self._reading = done + 1
        took = seconds(progress.get("time_ms"))
        return [Reading(done=done, total=total, seconds=took / done * (total - done) if done else None)]

    def _told_usage(self) -> Usage | None:
        if not self._usage:
            return None
        prompt = tokens(self._usage.get("prompt_tokens"))
        cached = tokens(mapping(self._usage.get("prompt_tokens_details")).get("cached_tokens"))
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=min(cached, prompt),
            completion_tokens=tokens(self._usage.get("completion_tokens")),
            read_seconds=seconds(self._timings.get("prompt_ms")),
            write_seconds=seconds(self._timings.get("predicted_ms")),
        )


class _Calls:
    """Separates the pieces of tool calls: some servers give every call the index 0 or none, and some give no ids."""

    def __init__(self) -> None:
        self._calls: list[tuple[int | None, str]] = []
        """Index and id, as the server gives them, of each call."""
        self._joiners: list[Joiner] = []

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def feed(self, call: Mapping[str, Any], piece: str) -> list[Delta]:
        index, given = number(call.get("index")), name(call.get("id"), LONGEST_NAME)
        called = name(mapping(call.get("function")).get("name"), LONGEST_NAME)
        n = self._find(index, given, called)
        if n is None and len(self._calls) == MOST_CALLS:
            return []
        if n is None:
            n = len(self._calls)
            self._calls.append((index, given or f"call_{n}"))
            self._joiners.append(Joiner())
        return [self._delta(n, called, self._joiners[n].feed(piece))]

    def finish(self) -> list[Delta]:
        rests = [(n, rest) for n, joiner in enumerate(self._joiners) if (rest := joiner.finish())]
        return [self._delta(n, "", rest) for n, rest in rests]

    def _delta(self, n: int, called: str, piece: str) -> Delta:
        return ToolCallDelta(index=n, call_id=self._calls[n][1], name=called, arguments=piece)

    def _find(self, index: int | None, given: str, called: str) -> int | None:
        """The call that a piece continues; None if it begins a new one.

        With the index of an earlier call, a piece begins a new one if it has a name and another id. Without an index,
        it does so if it has a name and not the id of the newest call.
        """
        newest = len(self._calls) - 1
        same = (n for n in reversed(range(len(self._calls))) if index is None or self._calls[n][0] == index)
        if (n := next(same, None)) is None:
            return None if called or given or newest < 0 else newest
        if called and (given or index is None) and given != self._calls[n][1]:
            return None
        return n


def runs(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """The same with pieces of text that follow each other as one piece, and with reasoning likewise.

    What came before an error is given before the error is raised.
    """
    run: list[TextDelta | ReasoningDelta] = []
    try:
        for delta in deltas:
            if run and type(delta) is not type(run[0]):
                yield _joined(run)
                run = []
            if isinstance(delta, TextDelta | ReasoningDelta):
                run.append(delta)
            else:
                yield delta
    except (ServerFailed, Withheld, ValueError):
        if run:
            yield _joined(run)
        raise
    if run:
        yield _joined(run)


def _joined(run: Sequence[TextDelta | ReasoningDelta]) -> Delta:
    return replace(run[0], text="".join(delta.text for delta in run))


def failed(said: Mapping[str, Any]) -> bool:
    """Whether this object reports that the server failed."""
    return bool(said.get("error")) or ("choices" not in said and bool(error_text(said)))


def error_text(body: object, *, depth: int = 4) -> str:
    """What a server says went wrong, from the body of its reply; "" if it says nothing readable.

    OpenAI and most others use `error.message`, FastAPI `detail`, some `message` or only `error`.
    """
    if isinstance(body, str) or not depth:
        return body if isinstance(body, str) else ""
    if isinstance(body, list):
        return next((found for part in body[:8] if (found := error_text(part, depth=depth - 1))), "")
    said = mapping(body)
    for key in ("error", "errors", "message", "detail", "msg", "error_msg"):
        if key in said and (found := error_text(said[key], depth=depth - 1)) and found.strip():
            return found
    return ""


def error_code(body: object) -> int | None:
    """The status code in the body of an error that came with another status."""
    said = mapping(body)
    for part in (mapping(said.get("error")), said):
        for key in ("code", "status", "status_code"):
            if (code := number(part.get(key))) is not None and 400 <= code < 600:
                return code
    return None
