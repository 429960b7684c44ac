"""Events as clients get them."""

from __future__ import annotations

import json
from typing import Any

from agentd.bus.feed import MAX_QUESTION
from agentd.errors import NotFound
from agentd.events import (
    BranchSelected,
    DocumentsRetrieved,
    Event,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    PromptReading,
    SessionDeleted,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
    TurnFinished,
    TurnHandedOver,
    TurnInterrupted,
    TurnQueued,
    TurnStarted,
)
from agentd.ports.conversation import Conversation
from agentd.ports.models import answering
from agentd.records import Citation
from agentd.serving.protocol.base import MAX_CALL, Cursor
from agentd.serving.protocol.replies import (
    Answer,
    BranchShown,
    Call,
    Chunk,
    ConversationState,
    Failure,
    Found,
    Question,
    Reading,
    ServerMessage,
    State,
)

BEGINS_AGAIN = "the answer begins again"


def answer_message(event: OutboundEvent, *, repeat: bool = False, cursor: Cursor | None = None) -> Answer:
    """An outbound event as clients get it."""
    return Answer(
        id=event.id,
        cursor=cursor,
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
        calls=event.calls,
        cut_off=event.cut_off,
        repeat=repeat,
    )


def conversation_message(session_id: str, state: Conversation) -> ConversationState:
    """The state of a session as clients get it."""
    return ConversationState(session=session_id, running=state.running, stopping=state.stopping, waiting=state.waiting)


def live_message(event: Event, cursor: Cursor | None) -> ServerMessage | None:
    """A live event as clients get it, None for what does not concern them; answers come by delivery."""
    if isinstance(event, SessionDeleted):
        return Failure(session=event.session_id, code=NotFound.code, message="this conversation was deleted.")
    if isinstance(event, BranchSelected):
        return BranchShown(session=event.session_id, turn=event.turn_id, cursor=cursor)
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
        text = _cut(event.text, MAX_QUESTION)
        return Question(
            session=event.session_id,
            turn=event.turn_id,
            cursor=cursor,
            id=event.message_id,
            text=text,
            replaces=event.replaces,
        )
    if isinstance(event, DocumentsRetrieved):
        citations = tuple(Citation(**passage.model_dump(include=_CITATION)) for passage in event.passages)
        return Found(session=event.session_id, turn=event.turn_id, cursor=cursor, citations=citations)
    state: dict[str, Any]
    match event:
        case TurnQueued():
            state = {"state": "queued", "position": event.position}
        case TurnStarted():
            detail = f"{BEGINS_AGAIN}: {event.reason}" if event.reason else ""
            state = {"state": "running", "attempt": event.attempt, "detail": detail}
        case ToolCallRequested():
            state = {"state": "tool", "detail": event.tool, "call": _asked(event)}
        case ToolCallSucceeded() | ToolCallFailed() | ToolCallDenied():
            state = {"state": "running", "call": _ended(event)}
        case TurnInterrupted():
            state = {"state": "stopping", "detail": event.reason}
        case TurnHandedOver():
            detail = f"{answering(event.model)} instead: {event.reason}"
            state = {"state": "running", "attempt": event.attempt, "detail": detail}
        case TurnFinished():
            state = {"state": "done"}
        case _:
            return None
    return State(session=event.session_id, turn=event.turn_id, cursor=cursor, **state)


def _asked(event: ToolCallRequested) -> Call:
    arguments = _cut(json.dumps(event.arguments, ensure_ascii=False), MAX_CALL)
    return Call(id=event.call_id, tool=event.tool, arguments=arguments, outcome="asked")


def _ended(event: ToolCallSucceeded | ToolCallFailed | ToolCallDenied) -> Call:
    match event:
        case ToolCallSucceeded():
            return Call(id=event.call_id, outcome="succeeded", result=_cut(event.result, MAX_CALL))
        case ToolCallFailed():
            return Call(id=event.call_id, outcome="failed", result=_cut(event.error, MAX_CALL))
        case ToolCallDenied():
            return Call(id=event.call_id, outcome="denied", result=_cut(event.reason, MAX_CALL))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


_CITATION = set(Citation.model_fields)
