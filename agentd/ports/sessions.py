"""Conversations and their history as their principal sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from agentd.records import Citation, Principal


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    id: str
    principal: Principal
    name: str
    title: str
    created: datetime
    updated: datetime
    messages: int
    unread: int
    listed: bool = True
    """Whether lists and searches show it: a session that was opened for one question is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """One message of a conversation's history; `notice` is the end of its text, or all, that agentd itself said."""

    turn_id: str
    role: Literal["user", "assistant"]
    text: str
    time: datetime
    notice: str = ""
    citations: tuple[Citation, ...] = ()
    interrupted: bool = False
    unread: bool = False
    parent: str = ""
    """The turn that its turn follows; "" for a first one."""
    branches: tuple[str, ...] = ()
    """The turns that follow the same one, the oldest first, with its own among them; empty if there is no other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """One way through a session: `turn_id` is its last turn, `question` and `answer` are shortened texts of that."""

    turn_id: str
    question: str
    answer: str
    time: datetime
    shown: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionHit:
    """A session in which something was found: in the message of `turn_id`, or if that is empty in its name or title."""

    session: SessionInfo
    turn_id: str
    excerpt: str
    aside: bool = False
    """Whether that message is on another branch than the one that is shown."""


class SessionView(Protocol):
    """Sessions as their principal sees them; the owner sees all. `NotFound` for one of somebody else."""

    async def open(self, principal: Principal, ref: str | None) -> SessionInfo:
        """A new session (None), the latest ("last"), one by id, or one by name, made when there is none."""
        ...

    async def list(self, principal: Principal, *, limit: int = 50) -> Sequence[SessionInfo]: ...

    async def history(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[StoredMessage]: ...

    async def branches(self, principal: Principal, session_id: str, *, limit: int = 50) -> Sequence[Branch]:
        """The ways through the session, the one that was gone on with last first."""
        ...

    async def question(self, principal: Principal, session_id: str, turn_id: str) -> str:
        """What was asked with this turn, on whatever branch; `NotFound` if there is no such question."""
        ...

    async def mark_read(self, principal: Principal, session_id: str) -> None:
        """Somebody has seen the session up to its newest message."""
        ...


class Selecting(Protocol):
    async def select(self, principal: Principal, session_id: str, turn_id: str, *, before: bool = False) -> str:
        """Show the branch of this turn, up to where it was gone on with last, or only what comes `before` this turn.

        The turn with which that ends; "" if nothing comes before it. `NotFound` if there is no such turn.
        """
        ...


class History(Protocol):
    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]:
        """The newest `limit` messages in their order, for a prompt; empty if the session is gone.

        What agentd itself said is left out, and an answer with it if that was all: see `OutboundEvent.notice`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What was said in a session up to the turn `through`."""

    text: str
    through: str


class Summaries(Protocol):
    """What was said before the history that a prompt has room for."""

    async def of(self, session_id: str) -> Summary:
        """The newest summary; an empty one if there is none."""
        ...

    def wanted(self, session_id: str, before: str) -> None:
        """What was said before the turn `before` no longer fits: make a summary of it when there is time."""
        ...
