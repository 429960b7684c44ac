"""The branches of a session in `agentd.db`: which turn each one follows, and which branch is shown.

Messages of the branch that is shown have `aside` = 0, all others 1. A turn is stored after the one that it follows, so
that the messages of a branch are in the order of their rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from agentd.ports.sessions import Branch
from agentd.storage import tree
from agentd.storage.values import as_text, as_time

BESIDE = 100
"""How many turns that stand in one place are named at most, the newest."""
SHORT = 200
"""Characters of a question and of an answer that tell which branch it is."""


def parents(db: sqlite3.Connection, session_id: str) -> dict[str, str]:
    """Turn -> the one that it follows, in the order of `agentd.storage.tree`."""
    rows = db.execute(
        "SELECT turn_id, parent FROM messages WHERE session_id = ? GROUP BY turn_id ORDER BY max(id)", (session_id,)
    )
    return {as_text(turn): as_text(parent) for turn, parent in rows}


def parent_of(db: sqlite3.Connection, session_id: str, turn_id: str) -> str | None:
    """The turn that this one follows; None if the session has no such turn."""
    query = "SELECT parent FROM messages WHERE turn_id = ? AND session_id = ? LIMIT 1"
    row = db.execute(query, (turn_id, session_id)).fetchone()
    return None if row is None else as_text(row[0])


def shown_end(db: sqlite3.Connection, session_id: str) -> str:
    """The last turn of the branch that is shown; "" if that is empty."""
    query = "SELECT turn_id FROM messages WHERE session_id = ? AND aside = 0 ORDER BY id DESC LIMIT 1"
    row = db.execute(query, (session_id,)).fetchone()
    return "" if row is None else as_text(row[0])


def show(db: sqlite3.Connection, session_id: str, end: str) -> None:
    """Show the branch that ends with this turn; "" shows nothing."""
    wanted = set(tree.branch(parents(db, session_id), end))
    query = "SELECT DISTINCT turn_id FROM messages WHERE session_id = ? AND aside = 0"
    shown = {as_text(turn) for (turn,) in db.execute(query, (session_id,))}
    _put_aside(db, session_id, shown - wanted, True)
    _put_aside(db, session_id, wanted - shown, False)


def _put_aside(db: sqlite3.Connection, session_id: str, turns: Collection[str], aside: bool) -> None:
    change = "UPDATE messages SET aside = ? WHERE turn_id = ? AND session_id = ?"
    db.executemany(change, [(aside, turn, session_id) for turn in turns])


def attach(db: sqlite3.Connection, session_id: str, turns: Sequence[str], replaces: str) -> Mapping[str, str]:
    """Turn -> the one that it follows, for turns that end now, one after another.

    They follow what is shown, or what the turn follows that they replace; the branch that is shown then ends there. A
    turn that ended before and was asked again leaves its earlier place.
    """
    before = {turn: earlier for turn in turns if (earlier := parent_of(db, session_id, turn)) is not None}
    for turn in before:
        earlier = parent_of(db, session_id, turn)
        db.execute("UPDATE messages SET parent = ? WHERE session_id = ? AND parent = ?", (earlier, session_id, turn))
        _put_aside(db, session_id, [turn], True)
    at = parent_of(db, session_id, replaces) if replaces else None
    if at is None:
        at = shown_end(db, session_id)
    elif at != shown_end(db, session_id):
        show(db, session_id, at)
    attached = dict(zip(turns, (at, *turns[:-1]), strict=True))
    for turn in before:
        moved = "UPDATE messages SET parent = ?, aside = 0 WHERE turn_id = ? AND session_id = ?"
        db.execute(moved, (attached[turn], turn, session_id))
    return attached


def beside(db: sqlite3.Connection, session_id: str, places: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """For each of these turns, those that follow it if they are several, the oldest first; "" has the first turns."""
    if (
        db.execute("SELECT 1 FROM messages WHERE session_id = ? AND aside = 1 LIMIT 1", (session_id,)).fetchone()
        is None
    ):
        return {}
    query = (
        "SELECT turn_id FROM messages WHERE session_id = ? AND parent = ?"
        " GROUP BY turn_id ORDER BY max(id) DESC LIMIT ?"
    )
    found = {
        place: tuple(as_text(turn) for (turn,) in db.execute(query, (session_id, place, BESIDE)))[::-1]
        for place in places
    }
    return {place: turns for place, turns in found.items() if len(turns) > 1}


def listed(db: sqlite3.Connection, session_id: str, limit: int) -> Sequence[Branch]:
    """The branches of a session, the one that was gone on with last first."""
    known, shown = parents(db, session_id), shown_end(db, session_id)
    ends = [shown] if shown and shown in known.values() else []
    return [_branch(db, session_id, end, shown) for end in (*ends, *tree.ends(known))[:limit]]


def _branch(db: sqlite3.Connection, session_id: str, end: str, shown: str) -> Branch:
    query = "SELECT role, substr(text, 1, ?), time FROM messages WHERE turn_id = ? AND session_id = ? ORDER BY id"
    said = {role: (as_text(text), as_text(time)) for role, text, time in db.execute(query, (SHORT, end, session_id))}
    newest = max(time for _, time in said.values())
    return Branch(
        turn_id=end,
        question=said.get("user", ("", ""))[0],
        answer=said.get("assistant", ("", ""))[0],
        time=as_time(newest),
        shown=end == shown,
    )
