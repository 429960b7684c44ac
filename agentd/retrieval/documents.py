"""The tables of documents.db: documents, their chunks and, kept in step by triggers, the full-text index.

Every function works on a connection inside a transaction of `agentd.storage.store.Store`. A principal changes only its
own documents, and reads these and what the owner shares with it; the owner reads all of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from agentd.ports.documents import DocumentInfo
from agentd.records import Citation, Principal
from agentd.retrieval.chunks import Chunk
from agentd.storage.values import as_time
from agentd.text.language import searchable

T = TypeVar("T")

EVERYONE = "everyone"
_NO_HASH = "none"
_OWN = "principal_kind = ? AND principal_id = ?"
PARAMETERS = 500
"""How many values one statement looks up."""
TERMS, TERMS_EACH = 64, 2.5
"""Maximum bytes that are indexed for a text: a fixed number, and so many for each of its own bytes. Pairs of Chinese
characters take 2.3. A text that becomes longer, because one character stands for a whole sentence, is indexed as it is.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A stored document; `bytes` is the size of the file, `content_hash` its SHA-256 in hex."""

    source: str
    title: str
    content_hash: str
    bytes: int
    modified: datetime
    text: str
    chunks: Sequence[Chunk]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A document whose chunks were made in an earlier way."""

    id: int
    principal: Principal
    source: str
    text: str


def scope(principal: Principal) -> tuple[str, tuple[str, ...]]:
    """A condition on the table `documents` for those that the principal may see, and its parameters.

    Those are their own, and those of the owner that are shared with them or with everyone.
    """
    if principal.kind == "owner":
        return "1", ()
    return _VISIBLE, (principal.kind, principal.id, EVERYONE, f"{principal.kind}:{principal.id}")


_VISIBLE = """documents.id IN (
    SELECT own.id FROM documents AS own WHERE own.principal_kind = ? AND own.principal_id = ?
    UNION ALL
    SELECT shared.id FROM shares CROSS JOIN documents AS shared
    ON shared.principal_kind = 'owner' AND shared.principal_id = ''
    AND shared.source >= shares.low AND shared.source < shares.high
    WHERE shares.whom IN (?, ?)
)"""


def hashes(db: sqlite3.Connection, principal: Principal, sources: Sequence[str]) -> dict[str, str]:
    """Source -> content hash, for those of these sources that the principal has stored.

    If the chunks of a document were made in an earlier way, no content has its hash, so that it is read anew.
    """
    found: dict[str, str] = {}
    for some in _slices(sources):
        found.update(
            db.execute(
                "SELECT source, iif(id <= (SELECT up_to FROM cut_earlier), ?, content_hash) FROM documents"
                f" WHERE principal_kind = ? AND principal_id = ? AND source IN ({_values(some)})",
                (_NO_HASH, principal.kind, principal.id, *some),
            )
        )
    return found


def replace(db: sqlite3.Connection, principal: Principal, document: Document, added: datetime) -> None:
    """Store a document; it replaces the one of the same source, if there is one."""
    remove(db, principal, [document.source])
    row = db.execute(
        "INSERT INTO documents (principal_kind, principal_id, source, title, title_terms, content_hash, metadata,"
        " bytes, modified, added, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            principal.kind,
            principal.id,
            document.source,
            document.title,
            _terms(document.title),
            document.content_hash,
            json.dumps(document.metadata),
            document.bytes,
            document.modified.isoformat(),
            added.isoformat(),
            document.text,
        ),
    )
    db.executemany(
        'INSERT INTO chunks (document_id, n, heading, heading_terms, start, "end", text, text_terms)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                row.lastrowid,
                n,
                chunk.heading,
                _terms(chunk.heading),
                chunk.start,
                chunk.end,
                chunk.text,
                _terms(chunk.text),
            )
            for n, chunk in enumerate(document.chunks)
        ),
    )


def next_earlier(db: sqlite3.Connection, after: int) -> Earlier | None:
    """The first document behind this id whose chunks were made in an earlier way."""
    row = db.execute(
        "SELECT id, principal_kind, principal_id, source, text FROM documents"
        " WHERE id > ? AND id <= (SELECT up_to FROM cut_earlier) ORDER BY id LIMIT 1",
        (after,),
    ).fetchone()
    if row is None:
        return None
    number, kind, name, source, text = row
    return Earlier(id=number, principal=Principal(kind=kind, id=name), source=source, text=text)


def cut_anew(db: sqlite3.Connection, document_id: int, cut: Document) -> bool:
    """Store this document again, with its title and chunks from `cut`; False if it is gone meanwhile."""
    row = db.execute(
        "SELECT principal_kind, principal_id, source, content_hash, metadata, bytes, modified, added, text"
        " FROM documents WHERE id = ?",
        (document_id,),
    ).fetchone()
    if row is None:
        return False
    kind, name, source, content_hash, metadata, size, modified, added, text = row
    document = Document(
        source=source,
        title=cut.title,
        content_hash=content_hash,
        bytes=size,
        modified=as_time(modified),
        text=text,
        chunks=cut.chunks,
        metadata=json.loads(metadata),
    )
    replace(db, Principal(kind=kind, id=name), document, as_time(added))
    return True


def _terms(text: str) -> str | None:
    indexed = searchable(text)
    return None if indexed == text or _size(indexed) > TERMS_EACH * _size(text) + TERMS else indexed


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def remove(db: sqlite3.Connection, principal: Principal, sources: Sequence[str]) -> int:
    """Delete the principal's own documents of these sources, with chunks and index; returns how many there were."""
    removed = 0
    for some in _slices(sources):
        removed += db.execute(
            f"DELETE FROM documents WHERE principal_kind = ? AND principal_id = ? AND source IN ({_values(some)})",
            (principal.kind, principal.id, *some),
        ).rowcount
    return removed


def sources_between(
    db: sqlite3.Connection, principal: Principal, low: str, high: str, *, after: str = "", limit: int = 1000
) -> list[str]:
    """The next `limit` sources of the principal's own documents with low <= source < high, in order."""
    rows = db.execute(
        "SELECT source FROM documents WHERE principal_kind = ? AND principal_id = ?"
        " AND source >= ? AND source < ? AND source > ? ORDER BY source LIMIT ?",
        (principal.kind, principal.id, low, high, after, limit),
    )
    return [source for (source,) in rows]


def counts(db: sqlite3.Connection, principal: Principal) -> tuple[int, int]:
    """How many documents and chunks the principal may see."""
    condition, parameters = scope(principal)
    (documents,) = db.execute(f"SELECT count(*) FROM documents WHERE {condition}", parameters).fetchone()
    if condition == "1":
        (chunks,) = db.execute("SELECT count(*) FROM chunks").fetchone()
    else:
        (chunks,) = db.execute(
            f"SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document_id WHERE {condition}",
            parameters,
        ).fetchone()
    return documents, chunks


def newest(db: sqlite3.Connection, principal: Principal, before: int, limit: int) -> list[DocumentInfo]:
    """What the principal may see of the documents, the one that was read last first; only ids below `before`."""
    condition, parameters = scope(principal)
    rows = db.execute(
        "SELECT id, principal_kind, principal_id, source, title, bytes, modified, added,"
        " (SELECT count(*) FROM chunks WHERE document_id = documents.id)"
        f" FROM documents WHERE {condition} AND id < ? ORDER BY id DESC LIMIT ?",
        (*parameters, before, limit),
    )
    return [
        DocumentInfo(
            id=number,
            principal=Principal(kind=kind, id=name),
            source=source,
            title=title,
            bytes=size,
            chunks=chunks,
            modified=as_time(modified),
            added=as_time(added),
        )
        for number, kind, name, source, title, size, modified, added, chunks in rows
    ]


def remove_by_id(db: sqlite3.Connection, principal: Principal, ids: Sequence[int]) -> list[int]:
    """Delete these of the principal's own documents, of the owner also those of others; returns which there were."""
    whose, parameters = ("1", ()) if principal.kind == "owner" else (_OWN, (principal.kind, principal.id))
    removed: list[int] = []
    for some in _slices(ids):
        rows = db.execute(
            f"DELETE FROM documents WHERE {whose} AND id IN ({_values(some)}) RETURNING id", (*parameters, *some)
        )
        removed += (number for (number,) in rows)
    return removed


def held(db: sqlite3.Connection, principal: Principal, besides: str) -> tuple[int, int]:
    """How many documents a principal has, and their bytes, without the document of this source."""
    documents, size = db.execute(
        "SELECT count(*), coalesce(sum(bytes), 0) FROM documents"
        " WHERE principal_kind = ? AND principal_id = ? AND source != ?",
        (principal.kind, principal.id, besides),
    ).fetchone()
    return documents, size


def text_between(db: sqlite3.Connection, document_id: int, start: int, end: int) -> str:
    """Characters `start` to `end` of a document's text."""
    (text,) = db.execute(
        "SELECT substr(text, ?, ?) FROM documents WHERE id = ?", (start + 1, end - start, document_id)
    ).fetchone()
    return str(text)


def passage(db: sqlite3.Connection, principal: Principal, citation: Citation, since: datetime) -> str | None:
    """The text that was cited; None if the document is gone or was stored after that time."""
    condition, parameters = scope(principal)
    row = db.execute(
        f"SELECT id, added FROM documents WHERE {condition} AND source = ?"
        " ORDER BY principal_kind = ? AND principal_id = ? DESC LIMIT 1",
        (*parameters, citation.source, principal.kind, principal.id),
    ).fetchone()
    if row is None or as_time(row[1]) > since:
        return None
    return text_between(db, row[0], citation.start, citation.end)


def _slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for n in range(0, len(values), PARAMETERS):
        yield values[n : n + PARAMETERS]


def _values(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)
