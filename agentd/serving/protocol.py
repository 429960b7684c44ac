"""Messages between agentd and its clients, version 1.

One message is one JSON object; over the unix socket one line each (UTF-8, ended by a line feed, at most
`MAX_FRAME_BYTES`), over a WebSocket one text frame each. Unknown fields are ignored, an unknown `type` is answered with
an `error` and the connection goes on. A client's request carries an `id` of its own choosing; what answers it carries
the same value as `re`. Events of a session carry `(epoch, n)`, with which a client resumes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from agentd.bus.feed import MAX_QUESTION
from agentd.errors import UsageError
from agentd.events import (
    Citation,
    DocumentsRetrieved,
    Event,
    GenerationChunk,
    InboundEvent,
    Name,
    OutboundEvent,
    PromptReading,
    Text,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
    TurnFinished,
    TurnHandedOver,
    TurnInterrupted,
    TurnQueued,
    TurnStarted,
    TurnUsage,
    Words,
)
from agentd.text.characters import whole
from agentd.text.plain import plain_data

VERSION = 1
MAX_FRAME_BYTES = 8 * 1024 * 1024
MAX_SMALL_BYTES = 256 * 1024
"""Only a question may be longer than this, and of the daemon's messages those that carry texts or lists."""
MAX_STRINGS, MAX_STRUCTURE_BYTES = 64, 4096
"""What a longer message of a client may have: strings, and bytes outside of them."""
MAX_LISTED_BYTES = 2 * 1024 * 1024
"""What a message of the daemon may have outside of strings."""
MAX_ID = 200
"""Characters of an id that a client chooses, and of anything that names a session."""
MAX_IDS, MAX_PATHS = 1000, 1000
"""Answers or events, and documents, that one message names."""
MAX_REASON = 300
"""Characters of what is said about a message that is none."""
MAX_TEXT_BYTES = 1024 * 1024
"""The longest question: 1 MiB of UTF-8. More than that is a document: `agentd ingest`."""
MAX_PASSAGES = 100
"""Passages of the documents that one question may be answered from."""


_STRING = re.compile(rb'"[^"]*"')
T = TypeVar("T")
Id = Annotated[str, Field(max_length=MAX_ID)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Cursor(_Message):
    """The last event that a client saw; `n` grows within one `epoch`, a start of the daemon."""

    epoch: Id
    n: int


# --- Client to server ------------------------------------------------------------------------------------------------


class Hello(_Message):
    """The first message. With `acks` an answer stays pending until this client acknowledges it."""

    type: Literal["hello"] = "hello"
    v: int = VERSION
    client: Id = ""
    acks: bool = False


class Open(_Message):
    """Choose a session and follow it: none = new, "last", an id, or a name (made when there is none).

    A session whose `history` is asked for counts as read.
    """

    type: Literal["open"] = "open"
    id: Id
    session: Id | None = None
    after: Cursor | None = None
    history: int = Field(default=0, ge=0, le=1000)


class Post(_Message):
    """Ask a session something. `id` is the message's own: offered again with the same text it is the same turn.

    `reply="request"` says that nobody will come back for the answer when this connection is gone.
    """

    type: Literal["message"] = "message"
    id: str = Field(min_length=1, max_length=MAX_ID)
    session: Id
    text: str
    reply: Literal["session", "request"] = "session"
    documents: int | None = Field(default=None, ge=0, le=MAX_PASSAGES)
    """Passages of the documents to answer from at most: 0 for none, null for what the daemon's settings say."""


class Stop(_Message):
    """End the running turn of a session; what was said is kept."""

    type: Literal["stop"] = "stop"
    id: Id
    session: Id


class Ack(_Message):
    """These answers (their ids) arrived and are safe with the client."""

    type: Literal["ack"] = "ack"
    ids: Annotated[tuple[Id, ...], FailFast(), Field(max_length=MAX_IDS)]


class Get(_Message):
    """A question about the daemon itself; `Told` answers."""

    type: Literal["get"] = "get"
    id: Id
    what: Literal["status", "sessions", "history"]
    session: Id = ""
    limit: int = Field(default=50, ge=1, le=1000)


class Ingest(_Message):
    """Read documents from absolute paths on the daemon's machine; `IngestState` tells the progress."""

    type: Literal["ingest"] = "ingest"
    id: Id
    paths: Annotated[tuple[str, ...], FailFast(), Field(max_length=MAX_PATHS)]


class Command(_Message):
    """Do what a slash command says (`agentd.serving.commands`), in a session if it needs one.

    `Told` answers; its data is a `CommandReply`.
    """

    type: Literal["command"] = "command"
    id: Id
    session: Id = ""
    text: str


class CommandReply(_Message):
    """`text` is for the person; `session`, if not empty, is the one to go on in.

    `ask`, if not empty, is a message that the client should now post, as if the person had typed it.
    """

    text: str = ""
    session: str = ""
    ask: str = ""


class Delivery(_Message):
    """Look after what is pending and what is dead; `Told` answers, with the data of `ports.DeliveryDesk`.

    Without `ids`, retry and drop mean the dead letters that were given up at least `older_than` seconds ago.
    """

    type: Literal["delivery"] = "delivery"
    id: Id
    what: Literal["list", "show", "retry", "drop"]
    ids: Annotated[tuple[Id, ...], FailFast(), Field(max_length=MAX_IDS)] = ()
    older_than: float | None = Field(default=None, ge=0)
    limit: int = Field(default=200, ge=1, le=5000)


class HandOver(_Message):
    """Let go of the state directory, for a daemon that is about to start. `Told` has the `seconds` that takes at most.

    Only the owner may ask, and only a daemon inside a command (`agentd chat`) does it; any other answers `Failure`.
    """

    type: Literal["hand_over"] = "hand_over"
    id: Id


ClientMessage = Hello | Open | Post | Stop | Ack | Get | Ingest | Command | Delivery | HandOver

# --- Server to client ------------------------------------------------------------------------------------------------


class Welcome(_Message):
    type: Literal["welcome"] = "welcome"
    v: int = VERSION
    server: Name
    epoch: str
    pid: int


class Line(_Message):
    """One message of a session's history."""

    turn: str
    role: Literal["user", "assistant"]
    text: Text
    time: datetime
    citations: Annotated[tuple[Citation, ...], FailFast()] = ()
    interrupted: bool = False
    unread: bool = False


class SessionOpened(_Message):
    """The session is followed from here on; `running` is the turn that is being answered, `waiting` those behind it."""

    type: Literal["session"] = "session"
    re: str
    session: str
    name: Name = ""
    title: Name = ""
    running: str = ""
    waiting: Annotated[tuple[str, ...], FailFast()] = ()
    history: Annotated[tuple[Line, ...], FailFast()] = ()


class Accepted(_Message):
    """The message is durable. A duplicate's answer comes at once if there is one."""

    type: Literal["accepted"] = "accepted"
    re: str
    session: str
    turn: str
    duplicate: bool = False


class _Live(_Message):
    session: str
    turn: str
    cursor: Cursor | None = None


class State(_Live):
    """Where a turn is. `position` counts from 1 while it is queued; a higher `attempt` voids earlier chunks."""

    type: Literal["state"] = "state"
    state: Literal["queued", "running", "tool", "stopping", "done"]
    position: int = 0
    attempt: int = 0
    detail: Words = ""


class Question(_Live):
    """What a client asked, told to every client of the session; `id` is the message's own.

    A client that asked it itself knows that id. A long text is cut and ends in "…"; the history has all of it.
    """

    type: Literal["question"] = "question"
    id: str
    text: Text


class Found(_Live):
    """The places that were found for the question."""

    type: Literal["documents"] = "documents"
    citations: Annotated[tuple[Citation, ...], FailFast()]


class Reading(_Live):
    """The model has read `done` of the `total` new tokens of the prompt; `seconds` are left, if that is known."""

    type: Literal["reading"] = "reading"
    attempt: int
    done: int
    total: int
    seconds: float | None = None


class Chunk(_Live):
    """A piece of the answer to come; `n` is its offset in characters, so a reader sees a hole or an overlap."""

    type: Literal["chunk"] = "chunk"
    attempt: int
    n: int
    text: str
    reasoning: bool = False


class Answer(_Live):
    """The whole durable answer. It may come twice with the same `id`: drop the second, acknowledge both."""

    type: Literal["answer"] = "answer"
    id: str
    answers: Annotated[tuple[str, ...], FailFast()]
    in_reply_to: str = ""
    outcome: Literal["answer", "interrupted", "error", "notice"]
    text: Text
    citations: Annotated[tuple[Citation, ...], FailFast()] = ()
    model: Name = ""
    error_code: str = ""
    usage: TurnUsage | None = None
    repeat: bool = False


class Truncated(_Message):
    """Events of this session were missed and are not kept: open it again for its present state."""

    type: Literal["truncated"] = "truncated"
    session: str


class Stopped(_Message):
    type: Literal["stopped"] = "stopped"
    re: str
    running: bool


class Told(_Message):
    type: Literal["told"] = "told"
    re: str
    data: Annotated[dict[str, Any], AfterValidator(plain_data)]


class IngestState(_Message):
    type: Literal["ingest_state"] = "ingest_state"
    re: str
    found: int
    done: int
    added: int
    changed: int
    unchanged: int
    removed: int
    chunks: int
    skipped: Annotated[tuple[tuple[Text, Text], ...], FailFast()] = ()
    current: Text = ""
    finished: bool = False


class Failure(_Message):
    """A request failed; `re` is empty where it could not be read. The connection goes on."""

    type: Literal["error"] = "error"
    re: str = ""
    code: str
    message: Words


class Closing(_Message):
    """The daemon is about to stop; reconnect later."""

    type: Literal["closing"] = "closing"
    reason: Words


ServerMessage = (
    Welcome
    | SessionOpened
    | Accepted
    | State
    | Question
    | Found
    | Reading
    | Chunk
    | Answer
    | Truncated
    | Stopped
    | Told
    | IngestState
    | Failure
    | Closing
)

_SMALL = Welcome | Accepted | State | Reading | Truncated | Stopped | Failure | Closing
"""Messages of the daemon that are never longer than `MAX_SMALL_BYTES`."""

_client: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_post = TypeAdapter(Post)
_server: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


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
    return _decoded(_post, line)


def decode_server(line: bytes) -> ServerMessage:
    """What the daemon said; `UsageError` where this client does not understand it."""
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
    return len(line) > MAX_SMALL_BYTES and len(_STRING.sub(b"", _without_escapes(line))) > MAX_LISTED_BYTES


def _decoded(adapter: TypeAdapter[T], line: bytes) -> T:
    with explained():
        return adapter.validate_json(line)


def _is_mostly_text(line: bytes) -> bool:
    """Whether a few strings make up nearly all of it; found out without reading it as JSON."""
    pieces = _without_escapes(line).split(b'"', 2 * MAX_STRINGS + 1)
    return len(pieces) <= 2 * MAX_STRINGS + 1 and sum(map(len, pieces[::2])) <= MAX_STRUCTURE_BYTES


def _without_escapes(line: bytes) -> bytes:
    """Every quotation mark that is left begins or ends a string."""
    return line.replace(rb"\\", b"").replace(rb"\"", b"")


@contextmanager
def explained() -> Iterator[None]:
    """What is not a message, read or made, as a `UsageError` with the first fault."""
    try:
        yield
    except ValidationError as error:
        raise UsageError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    reason = f"{place + ': ' if place else ''}{first['msg']}"
    cut = reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…"
    return f"not a message of protocol version {VERSION}: {cut}"


def answer_message(event: OutboundEvent, *, repeat: bool = False) -> Answer:
    """An outbound event as clients get it."""
    return Answer(
        id=event.id,
        session=event.session_id,
        turn=event.turn_id,
        answers=event.answers,
        in_reply_to=event.in_reply_to,
        outcome=event.outcome,
        text=event.text,
        citations=event.citations,
        model=event.model,
        error_code=event.error_code,
        usage=event.usage,
        repeat=repeat,
    )


def live_message(event: Event, cursor: Cursor | None) -> ServerMessage | None:
    """A live event as clients get it, None for what does not concern them; answers come by delivery."""
    if isinstance(event, GenerationChunk):
        return Chunk(
            session=event.session_id,
            turn=event.turn_id,
            cursor=cursor,
            attempt=event.attempt,
            n=event.n,
            text=event.text,
            reasoning=event.reasoning,
        )
    if isinstance(event, PromptReading):
        return Reading(
            session=event.session_id,
            turn=event.turn_id,
            cursor=cursor,
            attempt=event.attempt,
            done=event.done,
            total=event.total,
            seconds=event.seconds,
        )
    if isinstance(event, InboundEvent):
        if event.kind != "message":
            return None
        text = event.text if len(event.text) <= MAX_QUESTION else f"{event.text[:MAX_QUESTION]}…"
        return Question(session=event.session_id, turn=event.turn_id, cursor=cursor, id=event.message_id, text=text)
    if isinstance(event, DocumentsRetrieved):
        places = tuple(Citation(**passage.model_dump(include=_CITATION)) for passage in event.passages)
        return Found(session=event.session_id, turn=event.turn_id, cursor=cursor, citations=places)
    state: dict[str, Any]
    match event:
        case TurnQueued():
            state = {"state": "queued", "position": event.position}
        case TurnStarted():
            detail = f"the answer begins again: {event.reason}" if event.reason else ""
            state = {"state": "running", "attempt": event.attempt, "detail": detail}
        case ToolCallRequested():
            state = {"state": "tool", "detail": event.tool}
        case ToolCallSucceeded() | ToolCallFailed() | ToolCallDenied():
            state = {"state": "running"}
        case TurnInterrupted():
            state = {"state": "stopping", "detail": event.reason}
        case TurnHandedOver():
            detail = f"{event.model} answers instead: {event.reason}"
            state = {"state": "running", "attempt": event.attempt, "detail": detail}
        case TurnFinished():
            state = {"state": "done"}
        case _:
            return None
    return State(session=event.session_id, turn=event.turn_id, cursor=cursor, **state)


_CITATION = set(Citation.model_fields)
