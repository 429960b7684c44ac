"""Messages as lines of JSON: written, read within bounds, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from agentd.errors import UsageError
from agentd.serving.protocol.base import (
    MAX_FRAME_BYTES,
    MAX_LISTED_BYTES,
    MAX_REASON,
    MAX_SMALL_BYTES,
    MAX_STRINGS,
    MAX_STRUCTURE_BYTES,
    VERSION,
)
from agentd.serving.protocol.replies import (
    Accepted,
    BranchShown,
    Closed,
    Closing,
    ConversationState,
    Failure,
    Fetched,
    Reading,
    ServerMessage,
    State,
    Stopped,
    Truncated,
    Watching,
    Welcome,
)
from agentd.serving.protocol.requests import ClientMessage, Post, Upload
from agentd.text.characters import whole
from agentd.text.structure import outside_of_strings, without_escapes

T = TypeVar("T")

_SMALL = (
    Welcome
    | Accepted
    | BranchShown
    | Fetched
    | Closed
    | ConversationState
    | Watching
    | State
    | Reading
    | Truncated
    | Stopped
    | Failure
    | Closing
)
"""Messages of the daemon that are never longer than `MAX_SMALL_BYTES`."""

_client: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_long: TypeAdapter[Post | Upload] = TypeAdapter(Annotated[Post | Upload, Field(discriminator="type")])
_server: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


class UnknownType(UsageError):
    """A message of a type that this version does not know."""


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """One line: UTF-8 JSON and a line feed."""
    try:
        text = message.model_dump_json()
    except PydanticSerializationError:  # half of a character somewhere
        text = whole(json.dumps(message.model_dump(mode="json"), ensure_ascii=False))
    return text.encode() + b"\n"


def decode_client(line: bytes) -> ClientMessage:
    """What a client said; `UsageError` says what is wrong with it.

    Memory and time for it are at most a few times those of its text, whatever it holds.
    """
    if len(line) <= MAX_SMALL_BYTES:
        return _decoded(_client, line)
    if not _is_mostly_text(line):
        raise UsageError(f"only the text of a message may be longer than {MAX_SMALL_BYTES:,} bytes; send less at once.")
    return _decoded(_long, line)


def decode_server(line: bytes) -> ServerMessage:
    """What the daemon said; `UsageError` if this client does not understand it, `UnknownType` if it may go on."""
    if is_mostly_structure(line):
        raise UsageError(f"not a message of protocol version {VERSION}: it has little text for its {len(line):,} bytes")
    message = _decoded(_server, line)
    if len(line) > longest(message):
        raise UsageError(f"not a message of protocol version {VERSION}: a {message.type} of {len(line):,} bytes")
    return message


def longest(message: ServerMessage) -> int:
    """Bytes of such a message at most."""
    return MAX_SMALL_BYTES if isinstance(message, _SMALL) else MAX_FRAME_BYTES


def is_mostly_structure(line: bytes) -> bool:
    """Whether a long line has so much outside of strings that no client reads it."""
    return len(line) > MAX_SMALL_BYTES and outside_of_strings(line) > MAX_LISTED_BYTES


def _decoded(adapter: TypeAdapter[T], line: bytes) -> T:
    with explained():
        return adapter.validate_json(line)


def _is_mostly_text(line: bytes) -> bool:
    """Whether it has no more structure than a short one may have; found out without reading it as JSON."""
    pieces = without_escapes(line).split(b'"', 2 * MAX_STRINGS + 1)
    return len(pieces) <= 2 * MAX_STRINGS + 1 and sum(map(len, pieces[::2])) <= MAX_STRUCTURE_BYTES


@contextmanager
def explained() -> Iterator[None]:
    """What is not a message, read or made, as a `UsageError` with the first fault."""
    try:
        yield
    except ValidationError as error:
        unknown = error.errors(include_url=False, include_input=False)[0]["type"] == "union_tag_invalid"
        raise (UnknownType if unknown else UsageError)(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = f"{where + ': ' if where else ''}{first['msg']}"
    cut = reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…"
    return f"not a message of protocol version {VERSION}: {cut}"
