"""Turns files and folders into documents: reads only what changed, in batches that are safe one by one.

A batch is one transaction. An ingest that was killed leaves only whole documents, and the next one continues from
there, because documents with the same content are not stored again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from agentd.errors import UsageError
from agentd.ports.clock import Clock
from agentd.ports.documents import DocumentInfo, IngestProgress
from agentd.records import OWNER, Citation, Principal
from agentd.retrieval import documents
from agentd.retrieval.apart import Reading
from agentd.retrieval.documents import Document
from agentd.retrieval.readers import MAX_BYTES, Unreadable, below, named, path_of, shown, source_of, uploaded
from agentd.retrieval.turnstile import Turnstile
from agentd.retrieval.walk import Found, vanished, walk
from agentd.storage.store import Store

log = logging.getLogger(__name__)

BATCH_FILES = 256
BATCH_BYTES = 2 * 1024 * 1024
STEP_SECONDS = 0.2
"""After this long at most, a batch ends and progress is reported; a single large file may take longer."""
AT_ONCE = 2
"""How many ingests of the owner run at the same time; of all others together, one does."""
SKIPPED = 1000
"""How many skipped files are named with their reason; the rest are counted."""


@dataclass(slots=True)
class _Batch:
    new: list[Document] = field(default_factory=list)
    changed: int = 0
    unchanged: int = 0
    bytes: int = 0
    gone: list[str] = field(default_factory=list)
    """Sources whose stored text is certainly not in the file any more."""
    files: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    until: float = field(default_factory=lambda: time.monotonic() + STEP_SECONDS)

    def take(self, document: Document | None, known: str) -> None:
        """Take what was read from one file; None if it has not changed since it was `known`."""
        if document is None:
            self.unchanged += 1
            return
        self.new.append(document)
        self.bytes += document.bytes
        self.changed += bool(known)

    @property
    def full(self) -> bool:
        return self.files >= BATCH_FILES or self.bytes >= BATCH_BYTES or time.monotonic() >= self.until


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
    """Implements `ports.documents.DocumentView` over documents.db, and reads documents in.

    A file of more than `max_bytes` is skipped.
    """

    def __init__(self, store: Store, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes
        self._turnstile = Turnstile(AT_ONCE, 1)

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return await self._store.read(lambda db: documents.counts(db, principal))

    async def newest(self, principal: Principal, *, before: int, limit: int) -> Sequence[DocumentInfo]:
        """The documents that the principal may see with ids below `before`, the one that was read last first."""
        return await self._store.read(lambda db: documents.newest(db, principal, before, limit))

    async def remove(self, principal: Principal, ids: Sequence[int]) -> Sequence[int]:
        """Delete these of the principal's own documents, of the owner all; which there were. Their files stay."""
        return await self._store.write(lambda db: documents.remove_by_id(db, principal, ids))

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        return await self._store.read(lambda db: documents.passage(db, principal, citation, since))

    async def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        """Bring the principal's documents under `paths` up to date; a file that cannot be read is skipped.

        Documents whose files vanished below a path are removed. Closing the iterator cancels the ingest; what is
        already stored stays.
        """
        given = _absolute(paths)
        tally = _Tally()
        yield tally.progress()
        async with self._turnstile.enter(principal), Reading(self._max_bytes) as reading:
            files = chain.from_iterable(map(walk, given))
            while not await asyncio.to_thread(_count_some, files, tally):
                yield tally.progress()
            for path in given:
                async for _ in self._remove_vanished(path, principal, tally):
                    yield tally.progress()
            files = chain.from_iterable(map(walk, given))
            while some := await asyncio.to_thread(_next_some, files):
                async for batch in self._batches(some, principal, reading, tally):
                    await self._store_batch(batch, principal, tally)
                    yield tally.progress()
        tally.current, tally.found = "", tally.done  # the folder may have changed while it was read
        yield tally.progress(finished=True)

    async def upload(self, name: str, data: bytes, principal: Principal) -> AsyncIterator[IngestProgress]:
        """Read a document from its bytes; it replaces an earlier one of the same name, see `ports.DocumentView`."""
        _check_name(name)
        tally = _Tally(found=1, current=name)
        yield tally.progress()
        source, batch = uploaded(name), _Batch(files=1)
        async with self._turnstile.enter(principal), Reading(self._max_bytes) as reading:
            known = (await self._store.read(lambda db: documents.hashes(db, principal, [source]))).get(source, "")
            try:
                batch.take(await reading.uploaded(name, data, known), known)
            except Unreadable as error:
                batch.skipped.append((name, str(error)))
            await self._store_batch(batch, principal, tally)
        tally.current = ""
        yield tally.progress(finished=True)

    async def cut_anew(self) -> int:
        """Cut the documents whose chunks were made in an earlier way, from their stored text; how many that were.

        One that cannot be cut keeps its chunks.
        """
        count, last = 0, 0
        async with self._turnstile.enter(OWNER), Reading(self._max_bytes) as reading:
            while (earlier := await self._store.read(partial(documents.next_earlier, after=last))) is not None:
                last = earlier.id
                try:
                    cut = await reading.uploaded(named(earlier.source), earlier.text.encode(), "")
                except Unreadable as error:
                    log.warning("%s keeps the passages of an earlier agentd: %s", earlier.source, error)
                    continue
                assert cut is not None, "no content has the hash that is known"
                count += await self._store.write(partial(documents.cut_anew, document_id=last, cut=cut))
        return count

    async def held(self, principal: Principal, besides: str = "") -> tuple[int, int]:
        """How many documents a principal has, and their bytes, without the one that was uploaded as `besides`."""
        return await self._store.read(lambda db: documents.held(db, principal, uploaded(besides)))

    # --- files that exist ---

    async def _batches(
        self, files: Sequence[Found], principal: Principal, reading: Reading, tally: _Tally
    ) -> AsyncIterator[_Batch]:
        sources = [source_of(found.path) for found in files]
        known = await self._store.read(lambda db: documents.hashes(db, principal, sources))
        batch, seen = _Batch(), set[str]()
        for found, source in zip(files, sources, strict=True):
            tally.current = shown(found.path)
            if source in seen:  # given twice
                batch.files += 1
                continue
            seen.add(source)
            await _read(found, known.get(source, ""), reading, batch)
            if batch.full:
                yield batch
                batch = _Batch()
        yield batch

    async def _store_batch(self, batch: _Batch, principal: Principal, tally: _Tally) -> None:
        added = self._clock.now()

        def store(db: sqlite3.Connection) -> int:
            for document in batch.new:
                documents.replace(db, principal, document, added)
            return documents.remove(db, principal, batch.gone)

        if batch.new or batch.gone:
            tally.removed += await self._store.write(store)
        tally.done += batch.files
        tally.changed += batch.changed
        tally.added += len(batch.new) - batch.changed
        tally.unchanged += batch.unchanged
        tally.chunks += sum(len(document.chunks) for document in batch.new)
        tally.skip(batch.skipped)

    # --- files that are gone ---

    async def _remove_vanished(self, path: str, principal: Principal, tally: _Tally) -> AsyncIterator[None]:
        itself = source_of(path)
        root = await asyncio.to_thread(_root, path)
        for low, high in ((itself, f"{itself}\0"), *below(path)):
            after = ""
            while sources := await self._stored(principal, low, high, after):
                gone = await asyncio.to_thread(_vanished, sources, root)
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
    """Count in one step; returns whether that was all."""
    until = time.monotonic() + STEP_SECONDS
    for _ in files:
        tally.found += 1
        if time.monotonic() >= until:
            return False
    return True


def _root(path: str) -> str:
    """The folder that its files must not leave; "" if it is not a folder or out of reach."""
    try:
        return os.path.realpath(path) if os.path.isdir(path) else ""
    except OSError:
        return ""


def _vanished(sources: Sequence[str], root: str) -> list[str]:
    return [source for source in sources if vanished(path_of(source), root)]


def _next_some(files: Iterator[Found]) -> list[Found]:
    """The next files that are found within one step; none at the end."""
    some: list[Found] = []
    until = time.monotonic() + STEP_SECONDS
    for found in files:
        some.append(found)
        if len(some) >= BATCH_FILES or time.monotonic() >= until:
            break
    return some


async def _read(found: Found, known: str, reading: Reading, batch: _Batch) -> None:
    batch.files += 1
    try:
        if found.reason:
            raise Unreadable(found.reason)
        document = await reading.document(found, known)
    except Unreadable as error:
        batch.skipped.append((shown(found.path), str(error)))
        if error.gone:
            batch.gone.append(source_of(found.path))
        return
    batch.take(document, known)


def _check_name(name: str) -> None:
    if name != name.strip() or not name.isprintable() or "/" in name or name in (".", ".."):
        raise UsageError("a document needs the name of a file, without a folder and with visible characters only.")
