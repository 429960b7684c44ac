"""What a model is asked and what it says: the records between `prompt`, `turn` and `models`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agentd.records import OWNER, Passage, Principal

Role = Literal["system", "user", "assistant", "tool"]
Trust = Literal["trusted", "untrusted"]
"""Trusted is what agentd itself wrote; the rest is data and is tokenised without control tokens."""
Priority = Literal["interactive", "tool", "background"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPart:
    text: str
    trust: Trust = "untrusted"


@dataclass(frozen=True, kw_only=True, slots=True)
class PassagePart:
    """A retrieved passage with its place in the document; if it is `numbered`, the model cites it as `[passage.n]`."""

    passage: Passage
    numbered: bool = True
    trust: Trust = "untrusted"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallPart:
    """A call that the assistant made earlier in this turn; `arguments` is JSON text."""

    call_id: str
    tool: str
    arguments: str
    trust: Trust = "untrusted"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResultPart:
    call_id: str
    tool: str
    text: str
    trust: Trust = "untrusted"


Part = TextPart | PassagePart | ToolCallPart | ToolResultPart


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolSpec:
    """A tool as the model is told about it; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is chosen. None means what the model's makers advise, temperature 0 means greedy, and without
    a seed each answer has a new one.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds that each phase of a generation may take; `first_token` counts only while no more of a prompt is read."""

    load: float = 300.0
    first_token: float = 120.0
    idle: float = 60.0
    turn: float = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    messages: tuple[Message, ...]
    session_id: str
    turn_id: str
    tools: tuple[ToolSpec, ...] = ()
    schema: dict[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    priority: Priority = "interactive"
    principal: Principal = OWNER
    """Who is answered; nothing of it is in the prompt."""
    plain: bool = False
    """These messages are all that is answered from: a model that only quotes documents cannot do that."""
    handed_back: bool = False
    """The tools are the caller's: they are offered whatever is known about the model, and calls end the turn."""
    must_call: bool = False
    """The answer must be a call."""
    searched: bool = True
    """Whether documents were searched for passages: a model that only quotes must not say that they hold nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What agentd says if a model has no answer. It is shown like an answer, but is in no prompt, or models repeat
    it."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasoningDelta:
    """Thinking aloud: shown on request, never part of an answer or of history."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallDelta:
    """A piece of the `index`-th tool call; `name` comes with its first piece, `arguments` is JSON text to append."""

    index: int
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePosition:
    """The request waits for the model; 1 is next."""

    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarted:
    """What was streamed so far is void: generation starts again as the next attempt."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """`model` answers instead of the one before it, which could not for this `reason`; what comes next is its own."""

    model: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Renumbered:
    """From here on `[i]` cites the passage that had the number `passages[i - 1]`, and no others can be cited.

    A model that knows what it will cite says so before its first word, so that the numbers begin with 1.
    """

    passages: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The prompt is being read: `done` of the `total` tokens that the cache does not hold.

    `seconds` is how long the rest takes at the model's known speed; None if no speed is known.
    """

    done: int
    total: int
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of a prompt, of the part of it that the cache held, and of the answer; seconds for reading and writing.

    Seconds are 0 for a model that does not tell them.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    read_seconds: float = 0.0
    write_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    reason: Literal["stop", "length", "tool_calls"]


Delta = (
    TextDelta
    | Notice
    | ReasoningDelta
    | ToolCallDelta
    | QueuePosition
    | Reading
    | Restarted
    | HandedOver
    | Renumbered
    | Usage
    | Finish
)
