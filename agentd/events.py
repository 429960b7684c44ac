"""Every event that can happen, in one union, with one codec.

Events are immutable records; ids are ordered strings from `agentd.ids`; times are aware and in UTC. Who makes a durable
event gives it both; every other event is made without them, and the bus stamps it when it is published. Adding an event
is adding a class here and to `Event`: the type checker then shows who must care.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field, JsonValue, TypeAdapter, ValidationError

from agentd.records import (
    Address,
    CalledTool,
    Citation,
    Key,
    Name,
    Passage,
    Principal,
    Record,
    SaidMessage,
    Sender,
    Terms,
    Text,
    TurnUsage,
    Words,
)
from agentd.text.plain import plain_data, plain_line

UNSTAMPED = datetime.min.replace(tzinfo=UTC)
"""The time of an event that the bus has not stamped yet; its id is "" then."""


class Happened(Record):
    """What all events have."""

    id: str = ""
    time: datetime = UNSTAMPED


class _OfTurn(Happened):
    turn_id: str
    session_id: str


Kind = Literal["message", "command", "decision"]
"""A message runs as a turn; the others are carried out, and never run as a question."""


class InboundEvent(_OfTurn):
    """What a person or program asked of a session; its `id` is the `turn_id` of all that it causes. Durable."""

    id: str
    time: datetime
    type: Literal["inbound"] = "inbound"
    kind: Kind = "message"
    agent: Name = ""
    """The agent that it is for; "" for the one that answers in its session."""
    principal: Principal
    address: Address
    sender: Sender
    message_id: Key
    """The platform's or the client's own id of the message."""
    dedupe_key: str
    content_digest: str
    """Tells a repeated offer from a reused id."""
    text: Text
    documents: int | None = None
    """At most so many passages of the documents are used: 0 means none, None what the settings say."""
    terms: Terms | None = None
    """What its caller brings along; None for somebody who only asks."""
    replaces: Key = ""
    """The turn whose place in the session it takes: that one, and all that followed it, stays as another branch."""
    regenerates: bool = False
    """Whether it asks the question of that turn once more as it was, for another answer; else it is an edit of it."""


Outcome = Literal["answer", "calls", "interrupted", "error", "notice"]
"""`calls`: the caller runs the tools that were called, and asks again with their results."""


class OutboundEvent(_OfTurn):
    """The one durable end of a turn (or, as a notice, a message of ours): what is delivered to `address`."""

    id: str
    time: datetime
    type: Literal["outbound"] = "outbound"
    principal: Principal
    address: Address
    answers: Annotated[tuple[str, ...], FailFast()]
    """Ids of the turns that this answers; empty for a notice."""
    in_reply_to: Key = ""
    """`message_id` of the newest message answered."""
    outcome: Outcome
    text: Text
    notice: Text = ""
    """What of `text` agentd itself says: its end, or all of it. It is in no prompt: models repeat it as an answer."""
    citations: Annotated[tuple[Citation, ...], FailFast()] = ()
    model: Name = ""
    error_code: str = ""
    usage: TurnUsage | None = None
    """None if no model was asked."""
    calls: Annotated[tuple[CalledTool, ...], FailFast()] = ()
    """Calls of tools of the caller's own, which were not run."""
    asked: Annotated[tuple[SaidMessage, ...], FailFast()] = ()
    """What they belong to: the conversation as the caller told it, the question, and what came after it."""
    cut_off: bool = False
    """The answer reached its greatest length."""


class TurnQueued(_OfTurn):
    """A message waits for its session; `position` counts from 1, the next to be answered."""

    type: Literal["turn_queued"] = "turn_queued"
    position: int


class TurnPlaced(_OfTurn):
    """A turn has its place and starts as soon as that is noted; from here on it can be stopped."""

    type: Literal["turn_placed"] = "turn_placed"


class TurnStarted(_OfTurn):
    """A turn runs; a higher attempt tells clients to drop the chunks of the earlier ones, for this `reason`."""

    type: Literal["turn_started"] = "turn_started"
    attempt: int
    reason: Words = ""


class DocumentsRetrieved(_OfTurn):
    """Passages that the answer may cite from now on; `question` is what was looked up before the model was asked."""

    type: Literal["documents_retrieved"] = "documents_retrieved"
    passages: Annotated[tuple[Passage, ...], FailFast()]
    question: Text = ""


class PromptReading(_OfTurn):
    """The model has read `done` of the `total` tokens of a prompt that are new to it; `seconds` are left, if known."""

    type: Literal["prompt_reading"] = "prompt_reading"
    attempt: int
    done: int
    total: int
    seconds: float | None = None


class GenerationChunk(_OfTurn):
    """A piece of an answer that is being made; `n` is the offset in characters of `text` in the attempt's text.

    Reasoning has an offset of its own. Pieces that follow each other may be merged for a slow reader.
    """

    type: Literal["generation_chunk"] = "generation_chunk"
    attempt: int
    n: int
    text: Text
    reasoning: bool = False


class ToolsCalled(_OfTurn):
    """The model made these calls at once, after it had `said` something. They run in this order."""

    type: Literal["tools_called"] = "tools_called"
    said: Text
    calls: Annotated[tuple[CalledTool, ...], FailFast()]


class ToolCallRequested(_OfTurn):
    """A call is looked at: it is refused, waits, or runs."""

    type: Literal["tool_call_requested"] = "tool_call_requested"
    call_id: Key
    tool: Name
    arguments: Annotated[dict[str, JsonValue], AfterValidator(plain_data)]


class TurnWaiting(_OfTurn):
    """The turn is left until somebody decides on this call, `until` then at most; `what` it waits for is for people."""

    type: Literal["turn_waiting"] = "turn_waiting"
    call_id: Key
    what: Words
    until: datetime


class ToolCallApproved(_OfTurn):
    type: Literal["tool_call_approved"] = "tool_call_approved"
    call_id: Key
    by: Name


class ToolCallDenied(_OfTurn):
    type: Literal["tool_call_denied"] = "tool_call_denied"
    call_id: Key
    by: Name
    reason: Words


class ToolCallStarted(_OfTurn):
    """A call that changes or sends something runs from now on: it must never run again."""

    type: Literal["tool_call_started"] = "tool_call_started"
    call_id: Key


class ToolCallSucceeded(_OfTurn):
    type: Literal["tool_call_succeeded"] = "tool_call_succeeded"
    call_id: Key
    result: Text


class ToolCallFailed(_OfTurn):
    type: Literal["tool_call_failed"] = "tool_call_failed"
    call_id: Key
    error: Words
    code: str = "tool"
    """The kind of the error: `unknown` if nobody knows whether the call took effect."""


class StopRequested(_OfTurn):
    """Somebody asked this turn to stop; it may have ended already."""

    type: Literal["stop_requested"] = "stop_requested"


class TurnInterrupted(_OfTurn):
    """A running turn was asked to stop, and does."""

    type: Literal["turn_interrupted"] = "turn_interrupted"
    reason: Words


class TurnHandedOver(_OfTurn):
    """`model` answers instead of the one before it, which could not for this `reason`."""

    type: Literal["turn_handed_over"] = "turn_handed_over"
    attempt: int
    model: Name
    reason: Words


class TurnFinished(_OfTurn):
    type: Literal["turn_finished"] = "turn_finished"
    outcome: Outcome


class _OfDelivery(_OfTurn):
    outbound_id: str
    address: Address


class DeliveryAttempted(_OfDelivery):
    type: Literal["delivery_attempted"] = "delivery_attempted"
    attempt: int


class DeliveryDeferred(_OfDelivery):
    """It stays pending; `until` is None if only the channel can say when to try again."""

    type: Literal["delivery_deferred"] = "delivery_deferred"
    attempt: int
    until: datetime | None
    error: Words


class Delivered(_OfDelivery):
    """Nothing is owed any more: the platform or a client took it, or it waits in the history to be read."""

    type: Literal["delivered"] = "delivered"
    how: Literal["taken", "history"]


class Buried(_OfTurn):
    """An event was given up on and lies in the dead letters; `dead_id` is its own id, inbound or outbound."""

    type: Literal["buried"] = "buried"
    dead_id: str
    reason: Words


class Reopened(_OfTurn):
    """A person took an answer back out of the dead letters: it is pending again. A question is told as it was asked."""

    type: Literal["reopened"] = "reopened"
    outbound_id: str


class SessionDeleted(Happened):
    """A conversation is gone, with everything that was said in it; `undelivered` are its answers that went with it."""

    type: Literal["session_deleted"] = "session_deleted"
    session_id: str
    undelivered: Annotated[tuple[str, ...], FailFast()] = ()


class BranchSelected(Happened):
    """A session shows another branch now, which ends with this turn ("" if it is empty)."""

    type: Literal["branch_selected"] = "branch_selected"
    session_id: str
    turn_id: str


class ChannelStateChanged(Happened):
    type: Literal["channel_state_changed"] = "channel_state_changed"
    channel: str
    state: Literal["starting", "connected", "degraded", "down"]
    reason: Words = ""
    address: Name = ""
    """Where it is found, for a channel that is reached at an address of this machine."""


class ModelStateChanged(Happened):
    type: Literal["model_state_changed"] = "model_state_changed"
    model: Name
    state: Literal["loading", "ready", "failed"]
    reason: Words = ""


class TokenEnded(Happened):
    """A token, or what a page was let in by, was revoked or has expired: whoever came with it has to leave now."""

    type: Literal["token_ended"] = "token_ended"
    token: str
    reason: Words


class ReindexRequested(Happened):
    type: Literal["reindex_requested"] = "reindex_requested"
    reason: Words


class IndexSwapped(Happened):
    type: Literal["index_swapped"] = "index_swapped"
    generation: int
    chunks: int


DurableEvent = InboundEvent | OutboundEvent

TurnEvent = (
    InboundEvent
    | OutboundEvent
    | TurnQueued
    | TurnPlaced
    | TurnStarted
    | DocumentsRetrieved
    | PromptReading
    | GenerationChunk
    | ToolsCalled
    | ToolCallRequested
    | TurnWaiting
    | ToolCallApproved
    | ToolCallDenied
    | ToolCallStarted
    | ToolCallSucceeded
    | ToolCallFailed
    | StopRequested
    | TurnInterrupted
    | TurnHandedOver
    | TurnFinished
    | DeliveryAttempted
    | DeliveryDeferred
    | Delivered
    | Buried
    | Reopened
)
"""Every event that belongs to a turn, and so to a session."""

StepEvent = (
    DocumentsRetrieved
    | ToolsCalled
    | TurnWaiting
    | ToolCallApproved
    | ToolCallDenied
    | ToolCallStarted
    | ToolCallSucceeded
    | ToolCallFailed
)
"""What the log of a turn keeps, so that a restart can go on with it."""

Event = (
    TurnEvent
    | SessionDeleted
    | BranchSelected
    | ChannelStateChanged
    | ModelStateChanged
    | TokenEnded
    | ReindexRequested
    | IndexSwapped
)

_codec: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def encode(event: Event) -> bytes:
    """One event as UTF-8 JSON without a line break."""
    return _codec.dump_json(event)


def fault_of(error: ValidationError) -> str:
    """Where the first fault is, and what is wrong there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return plain_line(f"{'.'.join(map(str, first['loc'][:4])) or 'all of it'}: {first['msg']}")


def decode(data: bytes) -> Event:
    """The event that `encode` wrote; `pydantic.ValidationError` for anything else.

    Members that nobody knows here are left out: a later agentd may have written them.
    """
    return _codec.validate_json(data, extra="ignore")
