"""What the daemon says: replies to requests, what happens in a session, and the end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast

from agentd.records import CalledTool, Citation, Name, Text, TurnUsage, Words
from agentd.serving.protocol.base import VERSION, Cursor, Message
from agentd.serving.protocol.reports import HistoryMessage, ToldData
from agentd.text.plain import plain_data


class Welcome(Message):
    type: Literal["welcome"] = "welcome"
    v: int = VERSION
    server: Name
    epoch: str
    pid: int


class SessionOpened(Message):
    """The session is followed from here on; `running` is the turn that is being answered, `waiting` those behind it."""

    type: Literal["session"] = "session"
    re: str
    session: str
    name: Name = ""
    title: Name = ""
    running: str = ""
    waiting: Annotated[tuple[str, ...], FailFast()] = ()
    history: Annotated[tuple[HistoryMessage, ...], FailFast()] = ()


class Accepted(Message):
    """The message is durable. A duplicate's answer comes at once if there is one."""

    type: Literal["accepted"] = "accepted"
    re: str
    session: str
    turn: str
    duplicate: bool = False


class Fetched(Message):
    """A turn as it is now. It was asked at `time`."""

    type: Literal["fetched"] = "fetched"
    re: str
    session: str
    turn: str
    state: Literal["queued", "running", "ended"]
    time: datetime


class _Live(Message):
    session: str
    turn: str
    cursor: Cursor | None = None


class Call(Message):
    """A call of a tool, told twice under one `id`: with its `arguments` as JSON, and with what came of it.

    Long arguments and results are cut and end in "…".
    """

    id: str
    tool: Name = ""
    arguments: Text = ""
    outcome: Literal["asked", "succeeded", "failed", "denied"]
    result: Text = ""


class State(_Live):
    """The state of a turn. `position` counts from 1 while it is queued; a higher `attempt` voids earlier chunks.

    A `call` is the one that begins (`tool`) or has ended (`running`).
    """

    type: Literal["state"] = "state"
    state: Literal["queued", "running", "tool", "stopping", "done"]
    position: int = 0
    attempt: int = 0
    detail: Words = ""
    call: Call | None = None


class Question(_Live):
    """What a client asked, told to every client of the session; `id` is the message's own.

    A client that asked it itself knows that id. A long text is cut and ends in "…"; the history has all of it.
    """

    type: Literal["question"] = "question"
    id: str
    text: Text
    replaces: str = ""
    """The turn whose place it takes: that one, and all that followed it, is shown no more."""


class BranchShown(_Live):
    """The session shows another branch now, which ends with `turn` ("" if it is empty): ask for its history anew."""

    type: Literal["branch"] = "branch"


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
    outcome: Literal["answer", "calls", "interrupted", "error", "notice"]
    text: Text
    citations: Annotated[tuple[Citation, ...], FailFast()] = ()
    model: Name = ""
    error_code: str = ""
    usage: TurnUsage | None = None
    calls: Annotated[tuple[CalledTool, ...], FailFast()] = ()
    cut_off: bool = False
    repeat: bool = False


class Truncated(Message):
    """Events of this session were missed and are not kept: open it again for its present state."""

    type: Literal["truncated"] = "truncated"
    session: str


class Watching(Message):
    """What happens in all sessions that were asked for is told from here on."""

    type: Literal["watching"] = "watching"
    re: str


class ConversationState(Message):
    """What a session does now: the turn that runs, if it was asked to stop, and the turns that wait, in their order.

    It comes after every change, with what changed it before it.
    """

    type: Literal["conversation"] = "conversation"
    session: str
    running: str = ""
    stopping: bool = False
    waiting: Annotated[tuple[str, ...], FailFast()] = ()


class Closed(Message):
    """The session is followed no more."""

    type: Literal["closed"] = "closed"
    re: str
    session: str


class Exported(Message):
    """A piece of an export: `n` is its offset in characters, and `name` a file's name that fits it."""

    type: Literal["exported"] = "exported"
    re: str
    name: Name
    n: int
    text: Text
    finished: bool = False


class Stopped(Message):
    type: Literal["stopped"] = "stopped"
    re: str
    running: bool


class Told(Message):
    """What was asked for, as the JSON of one of `agentd.serving.protocol.reports`."""

    type: Literal["told"] = "told"
    re: str
    data: Annotated[dict[str, Any], AfterValidator(plain_data)]


def told(re: str, report: ToldData) -> Told:
    """The reply that has this report."""
    return Told(re=re, data=report.as_json())


class IngestState(Message):
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


class Failure(Message):
    """A request failed; `re` is empty if it could not be read. The connection goes on.

    With a `session` and without `re`, that session was deleted and is followed no more (`not_found`). What was asked
    too often may be asked again in `retry_after` seconds.
    """

    type: Literal["error"] = "error"
    re: str = ""
    session: str = ""
    code: str
    message: Words
    retry_after: float | None = None


class Closing(Message):
    """The daemon is about to stop; reconnect later."""

    type: Literal["closing"] = "closing"
    reason: Words


ServerMessage = (
    Welcome
    | SessionOpened
    | Accepted
    | Fetched
    | State
    | Question
    | BranchShown
    | Found
    | Reading
    | Chunk
    | Answer
    | Truncated
    | ConversationState
    | Watching
    | Closed
    | Exported
    | Stopped
    | Told
    | IngestState
    | Failure
    | Closing
)
