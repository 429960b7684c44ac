"""Which conversation a person means who names one of a list."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol, TypeVar

from agentd.errors import NotFound


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...


N = TypeVar("N", bound=Named)


def choose(sessions: Sequence[N], wanted: str) -> N:
    """By its name, its id or its number in the list, counted from 1; `NotFound` suggests the nearest name."""
    for session in sessions:
        if wanted in (session.name, session.id):
            return session
    if wanted.isdecimal() and 1 <= int(wanted) <= len(sessions):
        return sessions[int(wanted) - 1]
    close = difflib.get_close_matches(wanted, [session.name for session in sessions if session.name], n=1)
    hint = f"did you mean {close[0]}?" if close else "/sessions lists them."
    raise NotFound(f"there is no conversation {wanted!r}; {hint}")


def label(session: Named, width: int) -> str:
    """What a person knows it by: its name and title, or its id if it has neither."""
    if session.name and session.title:
        text = f"{session.name}: {session.title}"
    else:
        text = session.name or session.title or session.id
    return text if len(text) <= width else text[: width - 1] + "…"
