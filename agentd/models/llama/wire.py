"""Messages between the daemon and the child that runs the model: a 4-byte big-endian length, then JSON.

The child ends when the socket is closed. The daemon chooses the id of each request and never uses one again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agentd.errors import ModelError
from agentd.models.llama.advice import NO_ADVICE, Advice
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.ports.generation import Priority, Role

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- Daemon to child -------------------------------------------------------------------------------------------------


class Load(_Message):
    """The first message, sent once. Without a `file` there is no chat model, only what is opened later."""

    type: Literal["load"] = "load"
    file: ModelFile | None
    settings: EngineSettings = EngineSettings()


class Piece(_Message):
    """Text; control tokens that are written in it count as such only if it is trusted."""

    text: str
    trusted: bool


class ToolCall(_Message):
    """A call that the assistant made; `arguments` is JSON text as the model wrote it."""

    call_id: str
    tool: str
    arguments: str


class ChatMessage(_Message):
    """A message of a conversation; one of a tool has the result of the call `call_id` of `tool`."""

    role: Role
    pieces: tuple[Piece, ...]
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""


class Tool(_Message):
    name: str
    description: str
    parameters: dict[str, Any]


class Choice(_Message):
    """How the next token is chosen; all values are checked, and the seed is set."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    seed: int


class Generate(_Message):
    type: Literal["generate"] = "generate"
    id: int
    session: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    choice: Choice
    max_tokens: int
    stop: tuple[str, ...]
    priority: Priority
    answer_schema: dict[str, Any] | None = None
    """The answer must be JSON that matches this; `schema` has checked that a grammar can enforce it."""


class Count(_Message):
    type: Literal["count"] = "count"
    id: int
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()


class Warm(_Message):
    """Read the beginning of prompts that start with these messages while there is nothing else to do, and keep it."""

    type: Literal["warm"] = "warm"
    id: int
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()


class OpenEmbedder(_Message):
    """Load the embedding model in this file, beside the chat model or without one."""

    type: Literal["open_embedder"] = "open_embedder"
    id: int
    path: str
    threads: int | None
    gpu_layers: int = 0


class Embed(_Message):
    """Make vectors of these texts; somebody waits if it is `urgent`."""

    type: Literal["embed"] = "embed"
    id: int
    texts: tuple[str, ...]
    urgent: bool


class Cancel(_Message):
    """After the child has read this, it sends nothing more about this request."""

    type: Literal["cancel"] = "cancel"
    id: int


class Ping(_Message):
    type: Literal["ping"] = "ping"
    n: int


ToChild = Load | Generate | Count | Warm | OpenEmbedder | Embed | Cancel | Ping

# --- Child to daemon -------------------------------------------------------------------------------------------------


class Loaded(_Message):
    """The model answers from now on; `notes` are what a person should know about it."""

    type: Literal["loaded"] = "loaded"
    context: int
    notes: tuple[str, ...]
    tools: bool = False
    """The model can call tools."""
    read_tps: float = 0.0
    write_tps: float = 0.0
    """Tokens per second of reading a prompt and of writing an answer; 0 if that is not known."""
    advice: Advice = NO_ADVICE
    """How its makers advise to sample from it."""
    way: str = ""
    """How llama.cpp computes (`ways`)."""
    switched_off: str = ""
    """A sentence that says what is switched off here and why; "" if nothing is."""


class LoadFailed(_Message):
    """The model cannot be used; `reason` is for a person. The child ends after this."""

    type: Literal["load_failed"] = "load_failed"
    reason: str


class Queued(_Message):
    """The request waits; 1 is next."""

    type: Literal["queued"] = "queued"
    id: int
    position: int


class Started(_Message):
    """The request has a sequence. If it is not `reading` its prompt yet, that waits for the prompts of others."""

    type: Literal["started"] = "started"
    id: int
    reading: bool


class Progress(_Message):
    """`done` of the `total` tokens of a prompt that were not in the cache are read; the rest takes `seconds`."""

    type: Literal["progress"] = "progress"
    id: int
    done: int
    total: int
    seconds: float | None = None
    """None if the speed is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one step added: for each request its id, whether it is reasoning, and the text.

    An empty text says that the model is working. There is one such message for each step, so it is made and written
    without pydantic.
    """

    type: Literal["said"] = "said"
    items: tuple[tuple[int, bool, str], ...]


class Called(_Message):
    """The `index`-th tool call of an answer, which is complete."""

    type: Literal["called"] = "called"
    id: int
    index: int
    call_id: str
    tool: str
    arguments: str


class Ended(_Message):
    type: Literal["ended"] = "ended"
    id: int
    reason: Literal["stop", "length", "tool_calls"]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    guessed_tokens: int = 0
    wrong_tokens: int = 0
    """Guessed tokens that were wrong."""
    read_seconds: float = 0.0
    """Time of the steps that read a part of the prompt."""
    write_seconds: float = 0.0
    """From the first token of the answer to its end."""


class Paced(_Message):
    """The speed as it is known now, in tokens per second; 0 if it is not known."""

    type: Literal["paced"] = "paced"
    read_tps: float
    write_tps: float


class Refused(_Message):
    """This request cannot be answered; the model goes on with the others."""

    type: Literal["refused"] = "refused"
    id: int
    reason: str


class Counted(_Message):
    type: Literal["counted"] = "counted"
    id: int
    tokens: int


class Warmed(_Message):
    """So many tokens of the beginning of prompts are in the cache now."""

    type: Literal["warmed"] = "warmed"
    id: int
    tokens: int


class OpenedEmbedder(_Message):
    type: Literal["opened_embedder"] = "opened_embedder"
    id: int
    dimension: int


class Embedded(_Message):
    """`vectors` are 4-byte little-endian floats in base64, one vector after the other."""

    type: Literal["embedded"] = "embedded"
    id: int
    vectors: str


class Pong(_Message):
    """The answer to a ping, sent between two steps, which shows that the child does not hang."""

    type: Literal["pong"] = "pong"
    n: int


FromChild = (
    Loaded
    | LoadFailed
    | Queued
    | Started
    | Progress
    | Said
    | Called
    | Ended
    | Paced
    | Refused
    | Counted
    | Warmed
    | OpenedEmbedder
    | Embedded
    | Pong
)

_to_child: TypeAdapter[ToChild] = TypeAdapter(Annotated[ToChild, Field(discriminator="type")])
_from_child: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="type")])


def encode(message: ToChild | FromChild) -> bytes:
    """The message as one frame; `ModelError` if that is larger than `MAX_FRAME_BYTES`."""
    body = _said(message) if isinstance(message, Said) else message.model_dump_json().encode()
    if len(body) > MAX_FRAME_BYTES:
        size = f"{len(body) / 1e6:.0f} MB"
        raise ModelError(
            f"The request is too large for the model ({size}); shorten the question or start a new session."
        )
    return _LENGTH.pack(len(body)) + body


def _said(message: Said) -> bytes:
    items = [
        f"[{number},{'true' if reasoning else 'false'},{encode_basestring(text)}]"
        for number, reasoning, text in message.items
    ]
    return f'{{"type":"said","items":[{",".join(items)}]}}'.encode()


def decode_to_child(body: bytes) -> ToChild:
    return _to_child.validate_json(body)


def decode_from_child(body: bytes) -> FromChild:
    return _from_child.validate_json(body)


class Frames:
    """Cuts a stream of bytes into the bodies of its frames; `ValueError` if a length is impossible."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes is too large to be ours")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return bodies
