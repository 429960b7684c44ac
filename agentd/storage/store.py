"""A SQLite file with one writer that groups commits, and readers that never wait for it.

When `write` returns, its changes are on disk: they survive kill -9, a crash of the system and a power cut, as SQLite
promises for `synchronous=FULL` in WAL mode (https://www.sqlite.org/pragma.html#pragma_synchronous).

A package may have a file of its own, with migrations as `migrations/0001.sql`, `0002.sql`, ... in that package:

    async with Store(state_dir / "documents.db", load_migrations("agentd.retrieval")) as store:
        await store.write(lambda db: db.execute("INSERT INTO ..."))
        rows = await store.read(lambda db: db.execute("SELECT ...").fetchall())

The functions run in a thread, inside a transaction that they must not end: no `commit`, no `with db:`, and no
`executescript`, which commits. They must not return a cursor that is still to be read.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from agentd.errors import Busy, StateError
from agentd.storage.database import BUSY_SECONDS, connect, create, explained, explaining, migrate, set_up
from agentd.storage.values import as_text

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH = 256
"""Maximum number of functions that share one commit."""
BATCH_SECONDS = 0.05
"""A batch takes no further function after this long."""
WAITING = 1024
"""How many functions may wait for the writer, and how many for the readers; the next caller waits for room."""
ROOM_SECONDS = 30.0
"""How long a caller waits for room before it gets `Busy`."""


def load_migrations(package: str) -> tuple[str, ...]:
    """The SQL scripts in a package's `migrations` directory, in the order of their names."""
    scripts = [file for file in (resources.files(package) / "migrations").iterdir() if file.name.endswith(".sql")]
    return tuple(file.read_text("utf-8") for file in sorted(scripts, key=lambda file: file.name))


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Callable[[sqlite3.Connection], T]
    done: asyncio.Future[None]
    erases: bool
    value: T | None = None
    error: BaseException | None = None


class Store:
    """One SQLite file. `on_commit` is called in the writer's thread after each commit, before anyone is told about it.

    Opening makes the file (mode 0600) and brings its schema up to date by `PRAGMA user_version`, each migration in a
    transaction of its own. If a newer agentd wrote the file, it raises `NewerVersion` and touches nothing; if the file
    is damaged or cannot be used, it raises `StateError`.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        readers: int = 4,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        self._path = path
        self._migrations = migrations
        self._on_commit = on_commit
        self._writer: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._write_room = asyncio.Semaphore(WAITING)
        self._read_room = asyncio.Semaphore(WAITING)
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{path.name} reader")
        self._idle: deque[sqlite3.Connection] = deque()
        self._thread = threading.Thread(target=self._write_batches, name=f"{path.name} writer", daemon=True)
        self._open = False
        self.problem = ""
        """Why the last write was refused, "" if it was not; `probe` finds out whether the disk takes writes again."""
        self._erasing = True
        """Whether the log beside the file may still hold what was erased, also by a process that was killed."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        opened = self._loop.run_in_executor(self._readers, self._open_writer)
        try:
            await asyncio.shield(opened)
        except BaseException:
            opened.add_done_callback(self._abandoned)
            raise
        self._thread.start()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """First, every write that was begun is committed, and every read that was begun ends."""
        self._open = False
        await asyncio.shield(self._loop.run_in_executor(None, self._close))

    def _open_writer(self) -> None:
        with explaining(self._path):
            try:
                create(self._path)
                with closing(connect(self._path, "rw")) as own:  # FTS5 keeps an index open that a migration makes anew
                    migrate(own, self._path, self._migrations)
                self._writer = connect(self._path, "rw")
                set_up(self._writer, self._path)
                self._empty_log(self._writer)
            except BaseException:
                self._close_writer()
                raise

    def _abandoned(self, opened: asyncio.Future[None]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            self._close_writer()
        self._readers.shutdown(wait=False)

    def _close(self) -> None:
        self._readers.shutdown()
        while self._idle:
            self._idle.pop().close()
        self._jobs.put(None)
        self._thread.join()

    async def _room(self, room: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await room.acquire()
        except TimeoutError:
            raise Busy(f"{self._path} is too busy: {WAITING} requests are waiting already; try again later.") from None
        if not self._open:
            room.release()
            raise StateError(f"{self._path} is closed because agentd is stopping; try again when agentd runs.")

    # --- writing ---

    async def write(self, run: Callable[[sqlite3.Connection], T], *, erases: bool = False) -> T:
        """Return what `run` returns once its changes are on disk; all functions that wait share one commit.

        If `run` raises, its own changes are undone and the caller gets the exception. `StateError` if the disk did not
        take the changes, `Busy` if the writer is too far behind. Once the writer has the function, cancelling the
        caller undoes nothing. If `run` erases something, it goes from SQLite's log (`-wal`), too, before the caller is
        told, or with the first later write that finds no reader in the way.
        """
        await self._room(self._write_room)
        job: _Job[T] = _Job(run, self._loop.create_future(), erases)
        self._jobs.put(job)
        await job.done
        if job.error is not None:
            raise job.error
        return cast(T, job.value)

    async def probe(self) -> None:
        """Write without changing anything; afterwards `problem` says whether the disk takes writes."""

        def rewrite(db: sqlite3.Connection) -> None:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {int(version)}")

        with suppress(StateError, Busy):
            await self.write(rewrite)

    def _write_batches(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch: list[_Job[Any]] = [first]
            try:
                self._commit(batch)
            # The callers get every error: nobody else could act on it.
            except BaseException as error:
                self._fail(batch, error)
            self._tell(batch)
        self._close_writer()

    def _commit(self, batch: list[_Job[Any]]) -> None:
        if self._writer is None:
            self._writer = connect(self._path, "rw")
            set_up(self._writer, self._path)
        self._writer.execute("BEGIN IMMEDIATE")
        self._fill(self._writer, batch)
        self._writer.execute("COMMIT")
        if not any(isinstance(job.error, StateError) for job in batch):
            self.problem = ""
        if self._on_commit is not None:
            self._on_commit()
        self._erasing = self._erasing or any(job.erases for job in batch)
        if self._erasing:
            self._empty_log(self._writer)

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        """Empty the log, or leave it to a later write: no write waits for a reader, and no committed write fails
        because of this."""
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            (blocked, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._erasing = bool(blocked)
        except sqlite3.Error as error:
            log.error("%s: what was erased may still be in its log (%s)", self._path, error)
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")

    def _fill(self, connection: sqlite3.Connection, batch: list[_Job[Any]]) -> None:
        """Run the functions of the batch, and add those that come meanwhile."""
        full = time.monotonic() + BATCH_SECONDS
        while True:
            self._run(connection, batch[-1])
            if len(batch) == BATCH or time.monotonic() > full:
                return
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)
                return
            batch.append(job)

    def _run(self, connection: sqlite3.Connection, job: _Job[Any]) -> None:
        connection.execute("SAVEPOINT job")
        try:
            job.value = job.run(connection)
        # Raised again in the caller's task.
        except BaseException as error:
            # If the disk is full, SQLite undoes the whole transaction, including the functions that ran before.
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO job")
            job.error = self._refused(error)
        if not connection.in_transaction:
            raise RuntimeError("a function given to Store.write ended the transaction, which it shares with others")
        connection.execute("RELEASE job")

    def _fail(self, batch: list[_Job[Any]], error: BaseException) -> None:
        log.error("%s: %d writes failed: %s", self._path, len(batch), error)
        for job in batch:
            job.error = job.error or self._refused(error)
        # After a failed fsync the same descriptor may report success although the data is gone: start with a new one.
        self._close_writer()

    def _refused(self, error: BaseException) -> BaseException:
        told = explained(error, self._path)
        if told is not error:
            self.problem = str(told)
        return told

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _tell(self, batch: list[_Job[Any]]) -> None:
        # If the loop is closed, nobody is left to tell; what is committed stays.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish, batch)

    def _finish(self, batch: list[_Job[Any]]) -> None:
        for job in batch:
            self._write_room.release()
            if not job.done.done():
                job.done.set_result(None)
            elif job.error is not None:
                log.error("%s: a write failed whose caller was cancelled", self._path, exc_info=job.error)

    # --- reading ---

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `run` returns; all its queries see the file as of one moment, with every finished write.

        Raises what `run` raises, `StateError` if the file cannot be read, `Busy` if too many callers wait.
        """
        await self._room(self._read_room)
        reading = self._loop.run_in_executor(self._readers, self._read, run)
        reading.add_done_callback(lambda _: self._read_room.release())
        return await reading

    def _read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        with explaining(self._path):
            connection = self._reader()
            connection.execute("BEGIN")
            try:
                return self._run_reading(connection, run)
            except StopIteration as error:
                # A future cannot carry a StopIteration: its caller would wait forever.
                raise RuntimeError("a function given to Store.read raised StopIteration") from error
            finally:
                connection.execute("ROLLBACK")
                self._idle.append(connection)

    def _run_reading(self, connection: sqlite3.Connection, run: Callable[[sqlite3.Connection], T]) -> T:
        """Read the fast way; only if some bytes are not text, read again in a slower way."""
        try:
            return run(connection)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
            log.error("%s: a row is damaged and shown as far as it can be read (%s)", self._path, error)
        connection.text_factory = as_text
        try:
            return run(connection)
        finally:
            connection.text_factory = str

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self._path, "ro")
