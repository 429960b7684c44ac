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
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, cast
from urllib.parse import quote

from agentd.errors import Busy, NewerVersion, StateError
from agentd.events import Principal
from agentd.host.ownership import check_own

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
BUSY_SECONDS = 10
"""How long SQLite waits for another program that holds the file, such as a backup."""


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
        self._erasing = False
        """Whether the log beside the file may still hold what was erased; known to the writer's thread alone."""

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
        with _explaining(self._path):
            try:
                _create(self._path)
                self._writer = _connect(self._path, "rw")
                _migrate(self._writer, self._path, self._migrations)
                _set_up(self._writer, self._path)
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
            self._writer = _connect(self._path, "rw")
            _set_up(self._writer, self._path)
        self._writer.execute("BEGIN IMMEDIATE")
        self._fill(self._writer, batch)
        self._writer.execute("COMMIT")
        if not any(isinstance(job.error, StateError) for job in batch):
            self.problem = ""
        if self._on_commit is not None:
            self._on_commit()
        if self._erasing or any(job.erases for job in batch):
            (blocked, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._erasing = bool(blocked)

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
        explained = _explained(error, self._path)
        if explained is not error:
            self.problem = str(explained)
        return explained

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
        with _explaining(self._path):
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
            return _connect(self._path, "ro")


# --- the file --------------------------------------------------------------------------------------------------------


def _create(path: Path) -> None:
    """Make an empty file that only its owner may read, unless it exists; `StateError` if it is not agentd's.

    An existing one is never opened here: closing any descriptor of a file drops the locks that SQLite holds on it in
    this process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        there = [check_own(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
        if there[0]:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            return
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        directory = os.open(path.parent, os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StateError(
            f"{path} cannot be used: {error.strerror}; make it and its directory writable for this user, "
            "or choose another state directory with --state-dir."
        ) from error


def as_text(value: object) -> str:
    """A stored text; a damaged row may contain anything, because SQLite keeps whatever it is given."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def as_time(value: object) -> datetime:
    """A stored time; 1970 if it cannot be read."""
    try:
        time = datetime.fromisoformat(as_text(value))
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def as_stored(time: datetime) -> str:
    """A time as it is stored: in UTC and always with microseconds, so that texts and times have the same order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def as_principal(kind: object, identifier: object) -> Principal:
    """Whose row it is; if that cannot be read, it is nobody's, so that only the owner sees it."""
    try:
        return Principal.model_validate({"kind": kind, "id": identifier})
    except ValueError:
        return Principal(kind="chat", id=as_text(identifier))


def _connect(path: Path, mode: Literal["rw", "ro"]) -> sqlite3.Connection:
    """A connection that never begins a transaction by itself and never makes the file."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    if mode == "rw":
        connection.text_factory = as_text
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateError(f"{path} cannot be used safely on this file system; keep the state directory on a local disk.")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # SQLite overwrites deleted content with zeros.
    connection.execute("PRAGMA secure_delete = ON")


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise NewerVersion(
            f"{path} has schema version {version}, but this agentd knows versions up to {len(migrations)}: "
            "a newer agentd wrote it. Start that one, or choose another state directory with --state-dir."
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")


# --- errors ----------------------------------------------------------------------------------------------------------

_DAMAGED = (
    "is damaged; stop agentd, then restore it from a backup, or move it away together with the files of the same name "
    "that end in -wal and -shm: agentd then starts with an empty one"
)
_REASONS = {
    sqlite3.SQLITE_FULL: "cannot be written because the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "is read-only; make it and its directory writable, or choose another --state-dir",
    sqlite3.SQLITE_IOERR: "cannot be read or written; the system's log (dmesg) says what is wrong with the disk",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that it and its directory exist and belong to this user",
    sqlite3.SQLITE_PERM: "may not be opened; check that it and its directory belong to this user",
    sqlite3.SQLITE_BUSY: f"has been held by another program for {BUSY_SECONDS} s; end that program and try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def _explained(error: BaseException, path: Path) -> BaseException:
    """A `StateError` that says what to do, if the error concerns the file; otherwise the error itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
    reason = None if code is None else _REASONS.get(code & 0xFF)
    return error if reason is None else StateError(f"{path} {reason} ({error}).")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if (explained := _explained(error, path)) is error:
            raise
        raise explained from error
