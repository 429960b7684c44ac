"""What a turn has done and whether it waits, as a pure function of its events: what a restart goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce as fold
from typing import Literal

from agentd.events import (
    Buried,
    DocumentsRetrieved,
    Event,
    OutboundEvent,
    ToolCallApproved,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallStarted,
    ToolCallSucceeded,
    ToolsCalled,
    TurnWaiting,
)
from agentd.records import Passage
from agentd.tools.arguments import Misunderstood
from agentd.tools.calls import FAILED

Phase = Literal["running", "waiting", "ended"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a tool.

    `started` says that it changes or sends something and was begun. `result` is what the model reads of it, None until
    it has ended; `code` is the kind of its error, "" if it succeeded.
    """

    call_id: str
    tool: str
    arguments: str
    approved: bool = False
    started: bool = False
    result: str | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What the model said before it called, and its calls in the order in which they run."""

    said: str
    calls: tuple[Call, ...]

    @property
    def misunderstood(self) -> Call | None:
        """The first call of a tool that does not exist, or with arguments that do not fit the tool."""
        return next((call for call in self.calls if call.code == Misunderstood.code), None)

    @property
    def changed(self) -> bool:
        """Whether a call changed or sent something, or may have."""
        return any(call.started for call in self.calls)


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnState:
    """`question` and `passages` are what was looked up at the beginning, `found` is what tools found after that.

    `waiting` says what the turn waits for, and until when. A turn that waits is left: no part of it runs.
    """

    question: str = ""
    passages: tuple[Passage, ...] = ()
    found: tuple[Passage, ...] = ()
    rounds: tuple[Round, ...] = ()
    waiting: TurnWaiting | None = None
    ended: bool = False

    @property
    def phase(self) -> Phase:
        if self.ended:
            return "ended"
        return "waiting" if self.waiting else "running"

    @property
    def said(self) -> str:
        """What the model said before it called."""
        return "\n\n".join(each.said for each in self.rounds if each.said.strip())

    def call(self, call_id: str) -> Call | None:
        return next((call for each in self.rounds for call in each.calls if call.call_id == call_id), None)


BEGUN = TurnState()


def reduce(state: TurnState, event: Event) -> TurnState:
    """The state after `event` of the same turn; an event that changes nothing returns the state as it is.

    If one call has two results or decisions, the first counts. Nothing changes a turn that has ended.
    """
    if state.ended:
        return state
    match event:
        case DocumentsRetrieved():
            return _found(state, event)
        case ToolsCalled():
            return _called(state, event)
        case TurnWaiting() if state.waiting is None and _is_open(state, event.call_id):
            return replace(state, waiting=event)
        case ToolCallApproved() if state.waiting is not None and state.waiting.call_id == event.call_id:
            return replace(_changed(state, event.call_id, lambda call: replace(call, approved=True)), waiting=None)
        case ToolCallStarted():
            return _changed(state, event.call_id, lambda call: replace(call, started=True))
        case ToolCallSucceeded() | ToolCallFailed() | ToolCallDenied():
            return _over(state, event)
        case OutboundEvent() | Buried():
            return replace(state, waiting=None, ended=True)
        case _:
            return state


def rebuilt(events: Iterable[Event]) -> TurnState:
    """The state of a turn after these events, in this order."""
    return fold(reduce, events, BEGUN)


def result_of(event: ToolCallSucceeded | ToolCallFailed | ToolCallDenied) -> str:
    """What the model reads about a call that ended with this event."""
    match event:
        case ToolCallSucceeded():
            return event.result
        case ToolCallFailed():
            return f"{FAILED}{event.error}"
        case ToolCallDenied():
            return f"{FAILED}{event.reason}"


def _found(state: TurnState, event: DocumentsRetrieved) -> TurnState:
    if event.question:
        first = not state.question and not state.rounds
        return replace(state, question=event.question, passages=event.passages) if first else state
    known = {passage.n for passage in (*state.passages, *state.found)}
    new = tuple(passage for passage in event.passages if passage.n not in known)
    return replace(state, found=(*state.found, *new)) if new else state


def _called(state: TurnState, event: ToolsCalled) -> TurnState:
    if not event.calls or any(state.call(call.call_id) for call in event.calls):
        return state
    calls = tuple(Call(call_id=call.call_id, tool=call.tool, arguments=call.arguments) for call in event.calls)
    return replace(state, rounds=(*state.rounds, Round(said=event.said, calls=calls)))


def _over(state: TurnState, event: ToolCallSucceeded | ToolCallFailed | ToolCallDenied) -> TurnState:
    match event:
        case ToolCallSucceeded():
            code = ""
        case ToolCallFailed():
            code = event.code
        case ToolCallDenied():
            code = "denied"
    result = result_of(event)
    after = _changed(state, event.call_id, lambda call: replace(call, result=result, code=code))
    if state.waiting is not None and state.waiting.call_id == event.call_id:
        return replace(after, waiting=None)
    return after


def _is_open(state: TurnState, call_id: str) -> bool:
    """Whether this call is neither running nor over."""
    call = state.call(call_id)
    return call is not None and not call.started and call.result is None


def _changed(state: TurnState, call_id: str, change: Callable[[Call], Call]) -> TurnState:
    """The state with one call changed; a call that is over, or is not known, stays as it is."""
    call = state.call(call_id)
    if call is None or call.result is not None or (changed := change(call)) == call:
        return state
    rounds = tuple(
        replace(each, calls=tuple(changed if one is call else one for one in each.calls)) for each in state.rounds
    )
    return replace(state, rounds=rounds)
