"""Files and folders become documents: only what changed is read into the database, in batches that are each safe.

A batch is one transaction. An ingest that was killed leaves whole documents only, and the next one goes on from there,
because what is stored with the same content is left alone.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path

from agentd.events import Citation, Principal
from agentd.ports import Clock, IngestProgress
from agentd.retrieval import documents
from agentd.retrieval.chunks import split
from agentd.retrieval.documents import Document
from agentd.retrieval.readers import MAX_BYTES, Source, Unreadable, below, path_of, read, shown, source_of
from agentd.retrieval.walk import Found, vanished, walk
from agentd.store import Store

BATCH_FILES = 256
BATCH_BYTES = 2 * 1024 * 1024
STEP_SECONDS = 0.2
"""A batch ends and progress is told at the latest after this long, a single large file excepted."""
SKIPPED = 1000
"""Files that are named with their reason; of the rest only the number is told."""


@dataclass(slots=True)
class _Batch:
    read: dict[str, Source] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    """Sources whose stored text is certainly no longer in the file."""
    files: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    last: bool = False


@dataclass(slots=True)
class _Tally:
    found: int = 0
    done: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    more_skipped: int = 0
    current: str = ""

    def skip(self, skipped: Sequence[tuple[str, str]]) -> None:
        room = SKIPPED - len(self.skipped)
        self.skipped += skipped[:room]
        self.more_skipped += len(skipped[room:])

    def progress(self, *, finished: bool = False) -> IngestProgress:
        more = [("...", f"and {self.more_skipped} more files")] if self.more_skipped else []
        return IngestProgress(
            found=max(self.found, self.done),
            done=self.done,
            added=self.added,
            changed=self.changed,
            unchanged=self.unchanged,
            removed=self.removed,
            chunks=self.chunks,
            skipped=(*self.skipped, *more),
            current=self.current,
            finished=finished,
        )


class DocumentIngest:
    """Implements `ports.DocumentView` over documents.db; a file of more than `max_bytes` is left out."""

    def __init__(self, store: Store, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return await self._store.read(lambda db: documents.counts(db, principal))

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        return await self._store.read(lambda db: documents.passage(db, principal, citation, since))

    async def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        """Bring the principal's documents under `paths` up to date; a file that cannot be read stops nothing.

        What vanished below a path is removed. Closing the iterator cancels; what was stored until then stays.
        """
        given = _absolute(paths)
        tally = _Tally()
        yield tally.progress()
        files = chain.from_iterable(map(walk, given))
        while not await asyncio.to_thread(_count_some, files, tally):
            yield tally.progress()
        for path in given:
            async for _ in self._remove_vanished(path, principal, tally):
                yield tally.progress()
        files = chain.from_iterable(map(walk, given))
        batch = _Batch()
        while not batch.last:
            batch = await asyncio.to_thread(self._read_some, files, tally)
            await self._store_batch(batch, principal, tally)
            yield tally.progress()
        tally.current = ""
        yield tally.progress(finished=True)

    # --- what is there ---

    def _read_some(self, files: Iterator[Found], tally: _Tally) -> _Batch:
        batch = _Batch()
        size, until = 0, time.monotonic() + STEP_SECONDS
        for found in files:
            batch.files += 1
            tally.current = shown(found.path)
            try:
                if found.reason:
                    raise Unreadable(found.reason)
                source = read(found.path, self._max_bytes)
            except Unreadable as error:
                batch.skipped.append((shown(found.path), str(error)))
                if error.gone:
                    batch.gone.append(source_of(found.path))
            else:
                batch.read[source.source] = source
                size += source.bytes
            if batch.files == BATCH_FILES or size >= BATCH_BYTES or time.monotonic() >= until:
                return batch
        batch.last = True
        return batch

    async def _store_batch(self, batch: _Batch, principal: Principal, tally: _Tally) -> None:
        sources = list(batch.read)
        known = await self._store.read(lambda db: documents.hashes(db, principal, sources))
        fresh = [source for name, source in batch.read.items() if known.get(name) != source.content_hash]
        cut = await asyncio.to_thread(lambda: [_document(source) for source in fresh])
        added = self._clock.now()

        def store(db: sqlite3.Connection) -> int:
            for document in cut:
                documents.replace(db, principal, document, added)
            return documents.remove(db, principal, batch.gone)

        if cut or batch.gone:
            tally.removed += await self._store.write(store)
        changed = sum(document.source in known for document in cut)
        tally.done += batch.files
        tally.changed += changed
        tally.added += len(cut) - changed
        tally.unchanged += len(sources) - len(cut)
        tally.chunks += sum(len(document.chunks) for document in cut)
        tally.skip(batch.skipped)

    # --- what is there no more ---

    async def _remove_vanished(self, path: str, principal: Principal, tally: _Tally) -> AsyncIterator[None]:
        itself = source_of(path)
        for low, high in ((itself, f"{itself}\0"), *below(path)):
            after = ""
            while sources := await self._stored(principal, low, high, after):
                gone = await asyncio.to_thread(_vanished, sources)
                if gone:
                    tally.removed += await self._remove(gone, principal)
                after = sources[-1]
                yield

    async def _stored(self, principal: Principal, low: str, high: str, after: str) -> list[str]:
        return await self._store.read(lambda db: documents.sources_between(db, principal, low, high, after=after))

    async def _remove(self, sources: Sequence[str], principal: Principal) -> int:
        return await self._store.write(lambda db: documents.remove(db, principal, sources))


def _absolute(paths: Sequence[Path]) -> list[str]:
    return list(dict.fromkeys(os.path.abspath(path) for path in paths))


def _count_some(files: Iterator[Found], tally: _Tally) -> bool:
    """Count for one step; whether that was all."""
    until = time.monotonic() + STEP_SECONDS
    for _ in files:
        tally.found += 1
        if time.monotonic() >= until:
            return False
    return True


def _vanished(sources: Sequence[str]) -> list[str]:
    return [source for source in sources if vanished(path_of(source))]


def _document(source: Source) -> Document:
    outline = split(source.text, markdown=source.markdown)
    return Document(
        source=source.source,
        title=outline.title or source.name,
        content_hash=source.content_hash,
        bytes=source.bytes,
        modified=source.modified,
        text=source.text,
        chunks=outline.chunks,
    )
