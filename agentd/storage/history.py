"""What was said in a session, in `agentd.db`: the messages of its turns, and the title that the first one gives it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.sessions import StoredMessage
from agentd.records import Citation
from agentd.storage import branches
from agentd.storage.values import as_stored, as_text, as_time

log = logging.getLogger(__name__)

TITLE_LENGTH = 60
"""Maximum characters of a title."""
LOOKED_AT = 4096
"""How many characters of a question are searched for a title."""
PAGE = 1024 * 1024
"""How many characters of messages are read at once; one message alone may be longer."""
LONGEST, ALL_TOGETHER, SHORTENED = 1024 * 1024 + 1000, 2 * 1024 * 1024 + 2000, 500
"""How many characters are read back, of one message and of all together; what does not fit is shortened."""

_citations: TypeAdapter[tuple[Citation, ...]] = TypeAdapter(tuple[Citation, ...])


def newest(db: sqlite3.Connection, session_id: str, limit: int) -> Sequence[StoredMessage]:
    """The newest `limit` messages of the branch that is shown, in their order."""
    rows = db.execute(
        "SELECT turn_id, role, text, time, citations, interrupted, unread, notice, parent FROM messages"
        " WHERE session_id = ? AND aside = 0 ORDER BY id DESC LIMIT ?",
        (session_id, limit),
    )
    room, messages = ALL_TOGETHER, []
    for row in rows:
        messages.append(_message(row, max(min(room, LONGEST), SHORTENED)))
        room -= len(messages[-1].text)
    return _with_branches(db, session_id, messages[::-1])


def page(db: sqlite3.Connection, session_id: str, after: int) -> tuple[int, Sequence[StoredMessage]]:
    """Messages that are shown after the row `after`, about `PAGE` characters of them, and the last of their rows."""
    rows = db.execute(
        "SELECT id, turn_id, role, text, time, citations, interrupted, unread, notice, parent FROM messages"
        " WHERE session_id = ? AND aside = 0 AND id > ? ORDER BY id",
        (session_id, after),
    )
    room, messages = PAGE, []
    for last, *row in rows:
        after = last
        messages.append(_message(tuple(row), LONGEST))
        room -= len(messages[-1].text)
        if room <= 0:
            break
    return after, _with_branches(db, session_id, messages)


def question(db: sqlite3.Connection, session_id: str, turn_id: str) -> str | None:
    """What was asked with a turn; None if nothing was."""
    query = "SELECT text FROM messages WHERE turn_id = ? AND session_id = ? AND role = 'user' ORDER BY id LIMIT 1"
    row = db.execute(query, (turn_id, session_id)).fetchone()
    return None if row is None else as_text(row[0])


def remember(db: sqlite3.Connection, said: Sequence[InboundEvent], outbound: OutboundEvent, now: str) -> None:
    """Add a turn to the history of its session, if the session still exists; a second question makes it listed.

    It goes on with the branch that is shown, or begins one in the place of the turn that it replaces.
    """
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (outbound.session_id,)).fetchone() is None:
        return
    insert = (
        "INSERT INTO messages (session_id, turn_id, parent, role, text, citations, time, interrupted, notice)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    session_id, turns = outbound.session_id, [asked.turn_id for asked in said if asked.turn_id != outbound.turn_id]
    replaces = next((asked.replaces for asked in said if asked.replaces), "")
    parents = branches.attach(db, session_id, [*turns, outbound.turn_id], replaces)
    for asked in said:
        about = (session_id, asked.turn_id, parents[asked.turn_id])
        db.execute(insert, (*about, "user", asked.text, "[]", as_stored(asked.time), False, ""))
    citations, interrupted = _citations.dump_json(outbound.citations).decode(), outbound.outcome == "interrupted"
    answered = (session_id, outbound.turn_id, parents[outbound.turn_id], "assistant", outbound.text, citations)
    notice = outbound.notice if outbound.answers else outbound.text
    last = db.execute(insert, (*answered, as_stored(outbound.time), interrupted, notice)).lastrowid
    db.execute(
        "UPDATE sessions SET newest = ?, updated = ?, title = iif(title = '', ?, title),"
        " unlisted = iif(newest > 0 OR ?, '', unlisted) WHERE id = ?",
        (last, now, _title(said[0].text) if said else "", len(said) > 1, session_id),
    )


def _message(row: tuple[Any, ...], room: int) -> StoredMessage:
    turn_id, role, stored, time, citations, interrupted, unread, notice, parent = row
    text = as_text(stored)
    if len(text) > room:
        text = f"{text[:room]}… (cut here: it has {len(text):,} characters)"
    return StoredMessage(
        turn_id=as_text(turn_id),
        role=role,
        text=text,
        time=as_time(time),
        citations=_cited(turn_id, citations),
        interrupted=bool(interrupted),
        unread=bool(unread),
        notice=as_text(notice),
        parent=as_text(parent),
    )


def _with_branches(
    db: sqlite3.Connection, session_id: str, messages: Sequence[StoredMessage]
) -> Sequence[StoredMessage]:
    beside = branches.beside(db, session_id, {message.parent for message in messages})
    return [_beside(message, beside.get(message.parent, ())) for message in messages]


def _beside(message: StoredMessage, turns: tuple[str, ...]) -> StoredMessage:
    """Its own turn may be older than all that are named."""
    own = () if message.turn_id in turns or not turns else (message.turn_id,)
    return replace(message, branches=(*own, *turns))


def without_notice(message: StoredMessage) -> StoredMessage:
    """A message without what agentd itself said in it."""
    if not message.notice:
        return message
    return replace(message, text=message.text.removesuffix(message.notice).rstrip(), notice="")


def _cited(turn_id: str, document: object) -> tuple[Citation, ...]:
    try:
        return _citations.validate_json(as_text(document), extra="ignore")
    except ValueError as error:
        log.error("the sources of turn %s in agentd.db are damaged: %s", turn_id, str(error).partition("\n")[0])
        return ()


def _title(question: str) -> str:
    """The first line of a question that is not blank, cut between words to at most `TITLE_LENGTH` characters."""
    visible = (line if line.isprintable() else _printable(line) for line in question.lstrip()[:LOOKED_AT].splitlines())
    line = next((" ".join(line.split()) for line in visible if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    head, _, _ = line[:TITLE_LENGTH].rpartition(" ")
    return (head if len(head) > TITLE_LENGTH // 2 else line[: TITLE_LENGTH - 1]).rstrip() + "…"


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
