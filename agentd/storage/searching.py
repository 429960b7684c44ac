"""Finds what was said: the words of a search in messages, and in the names and titles of sessions.

A search looks at every message that the principal may see, the newest first, for `SECONDS` at most. It needs no index,
so storing an answer costs nothing extra.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agentd.storage.values import as_text

SECONDS = 5.0
"""A search ends after this long with what it has found."""
BEFORE, EXCERPT = 40, 160
"""Characters of an excerpt: before the first word, and altogether."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A session that was found; `turn_id` is empty if the words are in its name or title."""

    session_id: str
    turn_id: str
    excerpt: str
    aside: bool = False
    """Whether the message is on another branch than the one that is shown."""


def search(db: sqlite3.Connection, scope: tuple[str, tuple[str, ...]], words: Sequence[str], limit: int) -> list[Hit]:
    """At most `limit` sessions, each with the newest message that has all the words (in small letters).

    A message of the branch that is shown goes before those of others.
    """
    until = time.monotonic() + SECONDS

    def holds(text: object) -> bool:
        if time.monotonic() > until:
            return False
        folded = as_text(text).casefold()
        return all(word in folded for word in words)

    db.create_function("holds", 1, holds)
    where, mine = scope
    said = db.execute(
        "SELECT m.session_id, m.turn_id, m.text, m.aside FROM messages m JOIN sessions s ON s.id = m.session_id"
        f" WHERE {where} AND holds(m.text) ORDER BY m.id DESC",
        mine,
    )
    called = db.execute(
        f"SELECT s.id, '', trim(s.name || ' ' || s.title), 0 FROM sessions s WHERE s.newest > 0 AND {where}"
        " AND holds(s.name || ' ' || s.title) ORDER BY s.newest DESC LIMIT ?",
        (*mine, limit),
    )
    found: dict[str, Hit] = {}
    for rows in (said, called):
        for session_id, turn_id, text, aside in rows:
            earlier = found.get(session_id)
            if earlier is None or (earlier.aside and turn_id and not aside):
                excerpt = _excerpt(text, words[0])
                found[session_id] = Hit(session_id=session_id, turn_id=turn_id, excerpt=excerpt, aside=bool(aside))
            if len(found) >= limit:
                break
    return list(found.values())


def _excerpt(text: object, word: str) -> str:
    """The line or lines around the word, as one line."""
    whole = as_text(text)
    start = max(0, whole.casefold().find(word) - BEFORE)
    line = " ".join(whole[start : start + EXCERPT].split())
    return f"{'…' if start else ''}{line}{'…' if start + EXCERPT < len(whole) else ''}"
