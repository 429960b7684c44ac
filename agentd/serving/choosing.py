"""A list of conversations for a person, and which one the person means who names one of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from agentd.errors import NotFound

TITLE_WIDTH = 40
"""Characters of what a list calls a conversation."""


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...


N = TypeVar("N", bound=Named)


class Listed(Named, Protocol):
    @property
    def messages(self) -> int: ...
    @property
    def unread(self) -> int: ...
    @property
    def updated(self) -> datetime: ...


def choose(sessions: Sequence[N], wanted: str, lists: str = "/sessions") -> N:
    """By its name, its id or its number in the list, counted from 1; `NotFound` suggests the nearest name.

    `lists` is what shows the list.
    """
    for session in sessions:
        if wanted in (session.name, session.id):
            return session
    if wanted.isdecimal() and 1 <= int(wanted) <= len(sessions):
        return sessions[int(wanted) - 1]
    close = difflib.get_close_matches(wanted, [session.name for session in sessions if session.name], n=1)
    hint = f"did you mean {close[0]}?" if close else f"{lists} lists them."
    raise NotFound(f"there is no conversation {wanted!r}; {hint}")


def label(session: Named, width: int) -> str:
    """What a person knows it by: its name and title, or its id if it has neither."""
    if session.name and session.title:
        text = f"{session.name}: {session.title}"
    else:
        text = session.name or session.title or session.id
    return text if len(text) <= width else text[: width - 1] + "…"


def row(n: int, session: Listed, now: datetime, *, current: str = "") -> tuple[str, ...]:
    """One of the list, with its number; the `current` one has a mark, and so has one whose answers nobody has seen."""
    count = f"{session.messages} messages" + (f", {session.unread} unread" if session.unread else "")
    mark = "*" if session.id == current else " "
    return f"{mark}{n:>2}", label(session, TITLE_WIDTH), count, ago((now - session.updated).total_seconds())


def brief(text: str, width: int) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def ago(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return "just now"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
