"""The state of a conversation as a pure function of its events: what runs, and what waits behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agentd.events import (
    Buried,
    Event,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    StopRequested,
    ToolCallApproved,
    ToolCallDenied,
    TurnInterrupted,
    TurnPlaced,
    TurnStarted,
    TurnWaiting,
)
from agentd.ports.conversation import IDLE, Conversation, Decision
from agentd.ports.work import PendingTurn
from agentd.records import OWNER, Principal


def reduce(state: Conversation, event: Event) -> Conversation:
    """The state after `event` of the same session; events that change nothing return the state as it is."""
    match event:
        case InboundEvent(kind="message") if event.id != state.running and event.id not in state.waiting:
            return replace(state, waiting=(*state.waiting, event.id), whose=event.principal)
        case TurnPlaced():
            return replace(state, placed=event.turn_id)
        case TurnStarted():
            return replace(_running(state, event.turn_id), attempt=event.attempt)
        case GenerationChunk(reasoning=False) if event.turn_id == state.running and event.attempt == state.attempt:
            return replace(state, said=state.said.put(event.n, event.text))
        case TurnWaiting():
            left = state if event.turn_id == state.running else _running(state, event.turn_id)
            return replace(left, wait=event, decision=None)
        case ToolCallApproved() | ToolCallDenied() if _decides(event, state):
            return replace(state, decision=event)
        case StopRequested() | TurnInterrupted() if event.turn_id in (state.running, state.placed):
            return replace(state, stopping=True)
        case OutboundEvent():
            return _ended(state, event.answers)
        case Buried():
            return _ended(state, (event.dead_id,))
        case _:
            return state


def _running(state: Conversation, turn_id: str) -> Conversation:
    """A turn begins, or begins again. If it was asked to stop, it still is."""
    waiting = tuple(turn for turn in state.waiting if turn != turn_id)
    stopping = state.stopping and turn_id in (state.running, state.placed)
    return Conversation(running=turn_id, stopping=stopping, waiting=waiting, whose=state.whose)


def _decides(decision: Decision, state: Conversation) -> bool:
    """Only the first decision counts, and only on the call that the turn waits for."""
    wait = state.wait
    asked = wait is not None and (wait.turn_id, wait.call_id) == (decision.turn_id, decision.call_id)
    return asked and state.decision is None


def _ended(state: Conversation, turns: tuple[str, ...]) -> Conversation:
    waiting = tuple(turn for turn in state.waiting if turn not in turns)
    if state.running in turns or state.placed in turns:
        return Conversation(waiting=waiting, whose=state.whose)
    return replace(state, waiting=waiting) if len(waiting) != len(state.waiting) else state


def position(state: Conversation, turn_id: str) -> int:
    """The position of a waiting turn: 1 is the next one, 0 means that it does not wait."""
    return state.waiting.index(turn_id) + 1 if turn_id in state.waiting else 0


class Conversations:
    """The conversations that are not idle, kept up to date by being a reducer of the bus."""

    def __init__(self) -> None:
        self._states: dict[str, Conversation] = {}

    def apply(self, event: Event) -> None:
        session_id: str | None = getattr(event, "session_id", None)
        if session_id is None:
            return
        state = reduce(self.of(session_id), event)
        if state.idle:
            self._states.pop(session_id, None)
        else:
            self._states[session_id] = state

    def recover(self, questions: Iterable[PendingTurn]) -> None:
        """Start with the unanswered questions that were found on disk, oldest first."""
        waiting: dict[str, list[str]] = {}
        whose: dict[str, Principal] = {}
        for turn in questions:
            waiting.setdefault(turn.session_id, []).append(turn.id)
            whose[turn.session_id] = turn.principal or whose.get(turn.session_id, OWNER)
        self._states = {
            session: Conversation(waiting=tuple(turns), whose=whose[session]) for session, turns in waiting.items()
        }

    def of(self, session_id: str) -> Conversation:
        return self._states.get(session_id, IDLE)

    def newest(self) -> Mapping[str, str]:
        """For every session with an unanswered turn, the newest one."""
        return {session: max(filter(None, (state.running, *state.waiting))) for session, state in self._states.items()}

    def busy(self) -> Mapping[str, Conversation]:
        """Every session with a running or waiting turn."""
        return self._states
