"""The SQLite file below a `Store`: made, opened and brought up to date, with its errors in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from agentd.errors import NewerVersion, StateError
from agentd.host.ownership import check_own
from agentd.storage.values import as_text

BUSY_SECONDS = 10
"""How long SQLite waits for another program that holds the file, such as a backup."""


def create(path: Path) -> None:
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


def connect(path: Path, mode: Literal["rw", "ro"]) -> sqlite3.Connection:
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


def set_up(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateError(f"{path} cannot be used safely on this file system; keep the state directory on a local disk.")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # SQLite overwrites deleted content with zeros.
    connection.execute("PRAGMA secure_delete = ON")
    # After a migration with virtual tables, no checkpoint is possible before something was read.
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise NewerVersion(
            f"{path} has schema version {version}, but this agentd knows versions up to {len(migrations)}: "
            "a newer agentd wrote it. Start that one, or choose another state directory with --state-dir."
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")


# --- errors -----------------------------------------------------------------------------------------------------------

_DAMAGED = (
    "is damaged; stop agentd, then restore it from a backup, or move it away together with the files of the same name "
    "that end in -wal and -shm: agentd then starts with an empty one"
)
_FULL = "cannot be written because the disk is full; free some space"
_REASONS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # no room for the index of the log, which is made when the file is opened
    sqlite3.SQLITE_READONLY: "is read-only; make it and its directory writable, or choose another --state-dir",
    sqlite3.SQLITE_IOERR: "cannot be read or written; the system's log (dmesg) says what is wrong with the disk",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that it and its directory exist and belong to this user",
    sqlite3.SQLITE_PERM: "may not be opened; check that it and its directory belong to this user",
    sqlite3.SQLITE_BUSY: f"has been held by another program for {BUSY_SECONDS} s; end that program and try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def explained(error: BaseException, path: Path) -> BaseException:
    """A `StateError` that says what to do, if the error concerns the file; otherwise the error itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
    reason = None if code is None else _REASONS.get(code, _REASONS.get(code & 0xFF))
    return error if reason is None else StateError(f"{path} {reason} ({error}).")


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if (told := explained(error, path)) is error:
            raise
        raise told from error
