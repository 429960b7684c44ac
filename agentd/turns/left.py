"""Turns that were left because they wait for a decision: who waits for what, and who may go on."""

from __future__ import annotations

from datetime import datetime

from agentd.events import TurnWaiting
from agentd.ports.conversation import Decision


class LeftTurns:
    """At most one turn of each session. Only the first decision on the call that a turn waits for counts.

    A turn that was decided on is still left until it is taken.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, TurnWaiting] = {}
        self._decided: dict[str, str] = {}
        """Session -> the turn that may go on."""

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._waiting or session_id in self._decided

    def leave(self, waiting: TurnWaiting) -> None:
        """The turn is left."""
        self._waiting[waiting.session_id] = waiting

    def decide(self, decision: Decision) -> bool:
        """Whether this is the decision that a turn waits for; if so, the turn waits for nothing more."""
        waiting = self._waiting.get(decision.session_id)
        if waiting is None or (waiting.turn_id, waiting.call_id) != (decision.turn_id, decision.call_id):
            return False
        del self._waiting[decision.session_id]
        self._decided[decision.session_id] = decision.turn_id
        return True

    def take(self, session_id: str) -> str | None:
        """The session's turn that may go on, which is no longer left."""
        return self._decided.pop(session_id, None)

    def stop(self, session_id: str, turn_id: str) -> bool:
        """Forgets this turn of the session; returns whether it was left, with or without a decision."""
        waiting = self._waiting.get(session_id)
        if waiting is not None and waiting.turn_id == turn_id:
            del self._waiting[session_id]
            return True
        if self._decided.get(session_id) != turn_id:
            return False
        del self._decided[session_id]
        return True

    def until(self) -> datetime | None:
        """When the first wait is over."""
        return min((waiting.until for waiting in self._waiting.values()), default=None)

    def over(self, now: datetime) -> list[TurnWaiting]:
        """The waits whose time is over."""
        return [waiting for waiting in self._waiting.values() if waiting.until <= now]
