"""Sessions, what was asked and said in them, and documents, as clients get them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentd.ids import time_of
from agentd.ports.documents import DocumentInfo
from agentd.ports.sessions import Branch, SessionHit, SessionInfo, StoredMessage
from agentd.records import Principal
from agentd.serving import protocol


def asked_at(turn_id: str) -> datetime:
    """When a question was asked: the id of its turn tells."""
    return datetime.fromtimestamp(time_of(turn_id), UTC)


def listed(session: SessionInfo, reader: Principal) -> protocol.ListedSession:
    return protocol.ListedSession(**_members(session, reader))


def found(hit: SessionHit, reader: Principal) -> protocol.SessionFound:
    members = _members(hit.session, reader)
    return protocol.SessionFound(**members, turn=hit.turn_id, excerpt=hit.excerpt, aside=hit.aside)


def _members(session: SessionInfo, reader: Principal) -> dict[str, Any]:
    whose = session.principal
    return {
        "whose": "" if whose == reader else f"{whose.kind} {whose.id}".strip(),
        "id": session.id,
        "name": session.name,
        "title": session.title,
        "created": session.created,
        "updated": session.updated,
        "messages": session.messages,
        "unread": session.unread,
    }


def message(stored: StoredMessage) -> protocol.HistoryMessage:
    return protocol.HistoryMessage(
        turn=stored.turn_id,
        role=stored.role,
        text=stored.text,
        time=stored.time,
        citations=stored.citations,
        interrupted=stored.interrupted,
        unread=stored.unread,
        parent=stored.parent,
        branches=stored.branches,
    )


def branch(way: Branch) -> protocol.ListedBranch:
    return protocol.ListedBranch(
        turn=way.turn_id, question=way.question, answer=way.answer, time=way.time, shown=way.shown
    )


def document(info: DocumentInfo) -> protocol.ListedDocument:
    return protocol.ListedDocument(
        id=info.id,
        principal=info.principal,
        source=info.source,
        title=info.title,
        bytes=info.bytes,
        chunks=info.chunks,
        modified=info.modified,
        added=info.added,
    )
