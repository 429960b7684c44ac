"""Messages between the daemon and the child that runs the model: a 4-byte big-endian length, then JSON.

Closing the socket ends the child. Every request has an id of the daemon's choosing; ids are never used again.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agentd.errors import ModelError
from agentd.generation import Priority, Role

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- Daemon to child -------------------------------------------------------------------------------------------------


class Load(_Message):
    """The first message, once; `threads` None means as many as the machine has free."""

    type: Literal["load"] = "load"
    path: str
    context: int
    threads: int | None
    gpu_layers: int
    sequences: int


class Piece(_Message):
    """Text; control tokens written in it count as such only where it is trusted."""

    text: str
    trusted: bool


class Line(_Message):
    role: Role
    pieces: tuple[Piece, ...]


class Choice(_Message):
    """How the next token is chosen; checked, with a seed."""

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
    lines: tuple[Line, ...]
    choice: Choice
    max_tokens: int
    stop: tuple[str, ...]
    priority: Priority


class Count(_Message):
    type: Literal["count"] = "count"
    id: int
    lines: tuple[Line, ...]


class Cancel(_Message):
    """No event of this request is sent after the child has read this."""

    type: Literal["cancel"] = "cancel"
    id: int


class Ping(_Message):
    type: Literal["ping"] = "ping"
    n: int


ToChild = Load | Generate | Count | Cancel | Ping

# --- Child to daemon -------------------------------------------------------------------------------------------------


class Loaded(_Message):
    """The model answers from now on; `notes` say aloud what a person should know about it."""

    type: Literal["loaded"] = "loaded"
    context: int
    notes: tuple[str, ...]


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
    """The request has a sequence of its own and its prompt is being read."""

    type: Literal["started"] = "started"
    id: int


class Said(_Message):
    """What one step added: (request, is reasoning, text) each."""

    type: Literal["said"] = "said"
    items: tuple[tuple[int, bool, str], ...]


class Ended(_Message):
    type: Literal["ended"] = "ended"
    id: int
    reason: Literal["stop", "length"]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class Refused(_Message):
    """This request cannot be answered; the model goes on with the others."""

    type: Literal["refused"] = "refused"
    id: int
    reason: str


class Counted(_Message):
    type: Literal["counted"] = "counted"
    id: int
    tokens: int


class Pong(_Message):
    """The answer to a ping, between two steps: the loop goes round."""

    type: Literal["pong"] = "pong"
    n: int


FromChild = Loaded | LoadFailed | Queued | Started | Said | Ended | Refused | Counted | Pong

_to_child: TypeAdapter[ToChild] = TypeAdapter(Annotated[ToChild, Field(discriminator="type")])
_from_child: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="type")])


def encode(message: ToChild | FromChild) -> bytes:
    """One frame; `ModelError` where it would be larger than `MAX_FRAME_BYTES`."""
    body = message.model_dump_json().encode()
    if len(body) > MAX_FRAME_BYTES:
        size = f"{len(body) / 1e6:.0f} MB"
        raise ModelError(
            f"The request is too large for the model ({size}); shorten the question or start a new session."
        )
    return _LENGTH.pack(len(body)) + body


def decode_to_child(body: bytes) -> ToChild:
    return _to_child.validate_json(body)


def decode_from_child(body: bytes) -> FromChild:
    return _from_child.validate_json(body)


class Frames:
    """Cuts a stream of bytes into the bodies of its frames; `ValueError` for a length that no frame of ours has."""

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
                raise ValueError(f"a frame of {length} bytes is not ours")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return bodies
