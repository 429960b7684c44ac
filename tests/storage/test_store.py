from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from agentd.errors import Busy, NewerVersion, StateError
from agentd.storage import database
from agentd.storage import store as module
from agentd.storage.store import BATCH, Store, load_migrations

SCHEMA = ["CREATE TABLE word (text TEXT NOT NULL UNIQUE);"]
DEADLINE = 60.0


def add(text: str) -> Callable[[sqlite3.Connection], int]:
    return lambda db: db.execute("INSERT INTO word (text) VALUES (?)", (text,)).rowcount


def words(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM word ORDER BY rowid")]


def modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "test.db", SCHEMA) as opened:
        yield opened


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[None]:
    """The writer is busy with one function until the block ends."""
    running, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(_: sqlite3.Connection) -> bool:
        loop.call_soon_threadsafe(running.set)
        return release.wait(DEADLINE)

    holder = asyncio.create_task(store.write(hold))
    await asyncio.wait_for(running.wait(), DEADLINE)
    try:
        yield
    finally:
        release.set()
        await holder


async def enqueued(tasks: int) -> None:
    """Let tasks that were just made reach their first wait."""
    for _ in range(tasks + 3):
        await asyncio.sleep(0)


async def test_what_was_written_is_read(store: Store) -> None:
    assert await store.write(add("one")) == 1
    assert await store.read(words) == ["one"]


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    for expected in ([], ["one"]):
        async with Store(tmp_path / "test.db", SCHEMA) as store:
            assert await store.read(words) == expected
            if not expected:
                await store.write(add("one"))


async def test_writes_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    commits: list[int] = []
    async with Store(tmp_path / "test.db", SCHEMA, on_commit=lambda: commits.append(1)) as store:
        async with held(store):
            tasks = [asyncio.create_task(store.write(add(str(n)))) for n in range(500)]
            await enqueued(len(tasks))
        await asyncio.gather(*tasks)
        assert len(await store.read(words)) == 500
    # The holder and the first words up to the end of a batch, then full batches; a slow machine may end one early.
    assert 500 / BATCH <= len(commits) < 50


async def test_nobody_is_told_before_the_commit(tmp_path: Path) -> None:
    reached, release = threading.Event(), threading.Event()

    def slow_disk() -> None:
        reached.set()
        assert release.wait(DEADLINE)

    async with Store(tmp_path / "test.db", SCHEMA, on_commit=slow_disk) as store:
        task = asyncio.create_task(store.write(add("one")))
        assert await asyncio.to_thread(reached.wait, DEADLINE)
        await enqueued(1)
        assert not task.done()
        release.set()
        assert await task == 1


async def test_a_function_that_raises_undoes_only_its_own_changes(store: Store) -> None:
    def fail(db: sqlite3.Connection) -> None:
        add("bad")(db)
        raise LookupError("no")

    async with held(store):
        tasks = [
            asyncio.create_task(store.write(add("one"))),
            asyncio.create_task(store.write(fail)),
            asyncio.create_task(store.write(add("one"))),
            asyncio.create_task(store.write(add("two"))),
        ]
        await enqueued(len(tasks))
    first, bad, twice, second = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, second) == (1, 1)
    assert isinstance(bad, LookupError)
    assert isinstance(twice, sqlite3.IntegrityError)
    assert await store.read(words) == ["one", "two"]


async def test_a_function_that_raises_stop_iteration_fails_instead_of_hanging(store: Store) -> None:
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(store.write(lambda db: next(db.execute("SELECT 1 WHERE 0"))), DEADLINE)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(store.read(lambda db: next(db.execute("SELECT 1 WHERE 0"))), DEADLINE)


async def test_a_failed_commit_fails_the_whole_batch_and_the_next_one_works(tmp_path: Path) -> None:
    deferred = [
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE word (text TEXT NOT NULL,"
        " a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);"
    ]
    async with Store(tmp_path / "test.db", deferred) as store:

        def dangle(db: sqlite3.Connection) -> int:
            return db.execute("INSERT INTO word (text, a) VALUES ('dangling', 7)").rowcount

        # Whoever holds the writer is in the same batch.
        with pytest.raises(sqlite3.IntegrityError):
            async with held(store):
                tasks = [asyncio.create_task(store.write(run)) for run in (add("one"), dangle, add("two"))]
                await enqueued(len(tasks))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [sqlite3.IntegrityError] * 3
        assert await store.read(words) == []
        assert await store.write(add("three")) == 1


async def test_when_sqlite_undoes_the_whole_transaction_nobody_in_it_is_told_otherwise(store: Store) -> None:
    await store.write(add("one"))
    with pytest.raises(sqlite3.IntegrityError):
        async with held(store):
            fine = asyncio.create_task(store.write(add("two")))
            undoing = asyncio.create_task(
                store.write(lambda db: db.execute("INSERT OR ROLLBACK INTO word (text) VALUES ('one')").rowcount)
            )
            await enqueued(2)
    results = await asyncio.gather(fine, undoing, return_exceptions=True)
    assert [type(result) for result in results] == [sqlite3.IntegrityError] * 2
    assert await store.read(words) == ["one"]


async def test_a_function_that_commits_is_refused(store: Store) -> None:
    with pytest.raises(RuntimeError, match="ended the transaction"):
        await store.write(lambda db: db.commit())
    assert await store.write(add("one")) == 1


async def test_cancelling_the_caller_does_not_undo_its_write(store: Store) -> None:
    async with held(store):
        task = asyncio.create_task(store.write(add("one")))
        await enqueued(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await store.read(words) == ["one"]


async def test_closing_commits_every_write_that_was_begun(tmp_path: Path) -> None:
    async with Store(tmp_path / "test.db", SCHEMA) as store:
        tasks = [asyncio.create_task(store.write(add(str(n)))) for n in range(300)]
        await enqueued(len(tasks))
    assert await asyncio.gather(*tasks) == [1] * 300
    with pytest.raises(StateError, match="closed"):
        await store.write(add("late"))
    with pytest.raises(StateError, match="closed"):
        await store.read(words)


async def test_an_opening_that_is_cancelled_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    path, before = tmp_path / "test.db", set(threading.enumerate())

    async def use() -> None:
        async with Store(path, SCHEMA):
            raise AssertionError("cancelled before it was open")

    task = asyncio.create_task(use())
    await enqueued(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, DEADLINE)
        assert not thread.is_alive()
    async with Store(path, SCHEMA) as store:
        assert await store.write(add("one")) == 1


async def test_a_full_queue_tells_the_caller_that_it_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    monkeypatch.setattr(module, "ROOM_SECONDS", 0.01)
    async with Store(tmp_path / "test.db", SCHEMA) as store:
        async with held(store):
            waiting = [asyncio.create_task(store.write(add(str(n)))) for n in range(2)]
            await enqueued(2)
            with pytest.raises(Busy):
                await store.write(add("too many"))
        await asyncio.gather(*waiting)
        assert await store.write(add("again")) == 1


async def test_a_reader_does_not_wait_for_the_writer(store: Store) -> None:
    await store.write(add("one"))
    async with held(store):
        waiting = asyncio.create_task(store.write(add("two")))
        await enqueued(1)
        assert await asyncio.wait_for(store.read(words), DEADLINE) == ["one"]
        assert not waiting.done()
    await waiting


async def test_what_was_erased_leaves_the_log_and_no_write_waits_for_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 10 * DEADLINE)
    path, log = tmp_path / "test.db", tmp_path / "test.db-wal"
    async with asyncio.timeout(DEADLINE), Store(path, SCHEMA) as store:
        await store.write(add("confidential"))
        with closing(sqlite3.connect(path, isolation_level=None)) as backup:
            backup.execute("BEGIN")
            assert words(backup) == ["confidential"]
            await store.write(lambda db: db.execute("DELETE FROM word").rowcount, erases=True)
            await store.write(add("another"))
            assert b"confidential" in log.read_bytes()
        await store.write(add("a third"))
        assert b"confidential" not in log.read_bytes() + path.read_bytes()


def kill(path: Path, folder: Path) -> None:
    """Copy what a kill of the process would leave of a database."""
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, folder)


async def test_what_was_erased_goes_from_the_log_with_the_next_start_if_the_process_died_before(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    async with asyncio.timeout(DEADLINE), Store(tmp_path / "test.db", SCHEMA) as store:
        await store.write(add("confidential"))
        with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as backup:
            backup.execute("BEGIN")
            assert words(backup) == ["confidential"]
            await store.write(lambda db: db.execute("DELETE FROM word").rowcount, erases=True)
            kill(tmp_path / "test.db", killed)
    assert b"confidential" in (killed / "test.db-wal").read_bytes()
    async with Store(killed / "test.db", SCHEMA) as store:
        assert not [file.name for file in killed.iterdir() if b"confidential" in file.read_bytes()]
        assert await store.read(words) == []


@pytest.mark.parametrize("package", ["agentd.storage", "agentd.retrieval"])
async def test_a_start_says_nothing_of_erased_text(
    tmp_path: Path, package: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        async with Store(tmp_path / "test.db", load_migrations(package)):
            pass
    assert not caplog.records


async def test_the_queries_of_one_read_see_one_moment(store: Store) -> None:
    between, written = threading.Event(), threading.Event()

    def read_twice(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
        before = words(db)
        between.set()
        assert written.wait(DEADLINE)
        return before, words(db)

    reading = asyncio.create_task(store.read(read_twice))
    assert await asyncio.to_thread(between.wait, DEADLINE)
    await store.write(add("one"))
    written.set()
    assert await reading == ([], [])


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(StateError, match="read-only"):
        await store.read(add("one"))


async def test_at_most_as_many_reads_run_as_there_are_readers(tmp_path: Path) -> None:
    lock, running, most, both = threading.Lock(), [0], [0], threading.Barrier(2)

    def look(_: sqlite3.Connection) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        both.wait(DEADLINE)
        with lock:
            running[0] -= 1

    async with Store(tmp_path / "test.db", SCHEMA, readers=2) as store:
        await asyncio.gather(*(store.read(look) for _ in range(8)))
    assert most[0] == 2


async def test_only_the_owner_of_the_files_may_read_them(tmp_path: Path) -> None:
    loose = tmp_path / "test.db"
    loose.touch(0o644)
    async with Store(loose, SCHEMA) as store:
        await store.write(add("one"))
        assert modes(tmp_path) == {"test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600}


async def test_commits_are_synced_and_foreign_keys_hold(store: Store) -> None:
    def settings(db: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.write(settings) == ["wal", 2, 1, 1]


async def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "what? 100% #1 ä.db"
    async with Store(path, SCHEMA) as store:
        await store.write(add("one"))
    assert list(modes(tmp_path)) == [path.name]


async def test_migrations_run_once_each_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Store(path, SCHEMA) as store:
        await store.write(add("one"))
    later = [*SCHEMA, "ALTER TABLE word ADD COLUMN size INTEGER; UPDATE word SET size = length(text);"]
    for _ in range(2):
        async with Store(path, later) as store:
            assert await store.read(lambda db: db.execute("SELECT text, size FROM word").fetchall()) == [("one", 3)]
            assert await store.read(lambda db: db.execute("PRAGMA user_version").fetchone()) == (2,)


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        async with Store(path, [*SCHEMA, "CREATE TABLE half (a); INSERT INTO no_such_table VALUES (1);"]):
            pass
    async with Store(path, [*SCHEMA, "CREATE TABLE half (a);"]) as store:
        assert await store.read(words) == []


async def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Store(path, [*SCHEMA, "CREATE TABLE future (a);"]):
        pass
    before = path.read_bytes()
    with pytest.raises(NewerVersion, match=r"test\.db has schema version 2, .* up to 1:"):
        async with Store(path, SCHEMA):
            pass
    assert path.read_bytes() == before
    assert list(modes(tmp_path)) == ["test.db"]


async def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StateError, match=r"test\.db is damaged; .* backup"):
        async with Store(path, SCHEMA):
            pass
    assert path.read_bytes().startswith(b"this is not")


async def test_damage_inside_the_file_is_told_to_whoever_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Store(path, SCHEMA) as store:
        await store.write(lambda db: [add(f"{n:0100}")(db) for n in range(2000)])
    healthy = path.read_bytes()
    path.write_bytes(healthy[:4096] + b"\xff" * (len(healthy) - 4096))
    async with Store(path, SCHEMA) as store:
        with pytest.raises(StateError, match="damaged"):
            await store.read(words)
        with pytest.raises(StateError, match="damaged"):
            await store.write(add("one"))


async def test_a_full_disk_is_told_and_does_not_last(store: Store) -> None:
    def limit(pages: int) -> Callable[[sqlite3.Connection], object]:
        return lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    await store.write(limit(10))
    with pytest.raises(StateError, match="disk is full;"):
        await store.write(add("x" * 1_000_000))
    await store.write(limit(100_000))
    assert await store.write(add("small")) == 1
    assert await store.read(words) == ["small"]


@contextmanager
def unprivileged(directory: Path) -> Iterator[None]:
    """Without the superuser's right to write everywhere."""
    if os.geteuid():
        yield
        return
    os.chown(directory, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    directory.chmod(0o500)
    try:
        yield
    finally:
        directory.chmod(0o700)


@pytest.fixture
def plain_directory() -> Iterator[Path]:
    """A directory that other users than the one that runs the tests can reach."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def test_a_read_only_directory_is_named_with_what_to_do(plain_directory: Path) -> None:
    with unprivileged(plain_directory), read_only(plain_directory):
        with pytest.raises(StateError, match=rf"test\.db .*: {os.strerror(errno.EACCES)}; .* writable "):
            async with Store(plain_directory / "test.db", SCHEMA):
                pass


async def test_a_directory_that_becomes_read_only_refuses_the_store(plain_directory: Path) -> None:
    path = plain_directory / "test.db"
    with unprivileged(plain_directory):
        async with Store(path, SCHEMA) as store:
            await store.write(add("one"))
        with read_only(plain_directory), pytest.raises(StateError, match=r"test\.db"):
            async with Store(path, SCHEMA) as store:
                await store.write(add("two"))
        async with Store(path, SCHEMA) as store:
            assert await store.read(words) == ["one"]


async def test_another_program_that_holds_the_file_is_named_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    path = tmp_path / "test.db"
    async with Store(path, SCHEMA) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match="another program"):
                await store.write(add("one"))
        assert await store.write(add("two")) == 1


async def test_a_file_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with Store(path, SCHEMA) as store:
        with pytest.raises(RuntimeError):
            await store.write(lambda db: db.commit())
        path.unlink()
        with pytest.raises(StateError, match="cannot be opened"):
            await store.write(add("one"))
    assert not path.exists()


WRITER = """
import asyncio, sys
from pathlib import Path
from agentd.storage.store import Store

async def main():
    async with Store(Path(sys.argv[1]), ["CREATE TABLE word (text TEXT NOT NULL UNIQUE);"]) as store:
        async def write(lane):
            n = 0
            while True:
                text = f"{lane}-{n}"
                await store.write(lambda db: db.execute("INSERT INTO word VALUES (?)", (text,)).rowcount)
                print(text, flush=True)
                n += 1
        await asyncio.gather(*(write(lane) for lane in range(8)))

asyncio.run(main())
"""


def told_until_killed(path: Path) -> list[str]:
    """What a process said that it had stored until it was killed in the middle of it."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(200)]
        process.kill()
        return told + [line.strip() for line in process.stdout if line.endswith("\n")]


async def test_what_was_told_to_be_stored_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    told = await asyncio.to_thread(told_until_killed, path)
    async with Store(path, SCHEMA) as store:
        stored = await store.read(words)
    assert len(told) >= 200
    assert set(told) <= set(stored)


def test_the_migrations_of_a_package_are_found_in_order() -> None:
    first, *_ = load_migrations("agentd.storage")
    assert "CREATE TABLE sessions" in first


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
async def test_what_lies_in_the_place_of_a_file_of_the_database_is_named_and_left(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    victim, path = tmp_path / "victim", tmp_path / f"test.db{suffix}"
    victim.write_text("precious")
    victim.chmod(0o644)
    plant: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(victim),
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }
    plant[kind]()
    with pytest.raises(StateError, match=r"test\.db.* is a .*, not a file"):
        async with Store(tmp_path / "test.db", ()):
            pass
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("precious", 0o644)


async def test_a_write_that_the_disk_refused_is_a_problem_until_one_is_taken(tmp_path: Path) -> None:
    async with Store(tmp_path / "test.db", ()) as store:
        await store.write(lambda db: db.execute("CREATE TABLE t (x)").rowcount)
        await store.write(lambda db: db.execute("PRAGMA max_page_count = 3").fetchone())
        with pytest.raises(StateError, match="disk is full"):
            await store.write(lambda db: db.execute("INSERT INTO t VALUES (zeroblob(1000000))").rowcount)
        assert "disk is full" in store.problem
        await store.probe()
        assert store.problem == ""


def test_a_file_that_finds_no_room_when_it_is_opened_is_on_a_full_disk() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    for code, told in ((sqlite3.SQLITE_IOERR_SHMSIZE, "free some space"), (sqlite3.SQLITE_IOERR_READ, "dmesg")):
        error.sqlite_errorcode = code
        assert told in str(database.explained(error, Path("a.db")))
