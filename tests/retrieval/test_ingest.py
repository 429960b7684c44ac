"""An ingest reads what changed, removes what is gone, names what it cannot read, and survives its own end."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from agentd.ports.documents import IngestProgress
from agentd.records import OWNER, Citation, Principal
from agentd.retrieval import documents
from agentd.retrieval import ingest as module
from agentd.retrieval.chunks import Chunk
from agentd.retrieval.documents import Document
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from tests.builders import TIME

ALICE = Principal(kind="person", id="alice")
DEADLINE = 60.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def run(store: Store, *paths: Path, who: Principal = OWNER, max_bytes: int = 2**20) -> IngestProgress:
    """The last word of an ingest."""
    progress = [item async for item in DocumentIngest(store, FakeClock(), max_bytes=max_bytes).ingest(paths, who)]
    assert [item.finished for item in progress] == [False] * (len(progress) - 1) + [True]
    assert progress[-1].done == progress[-1].found
    return progress[-1]


def told(progress: IngestProgress) -> tuple[int, int, int, int]:
    return progress.added, progress.changed, progress.unchanged, progress.removed


async def titles(store: Store, question: str, who: Principal = OWNER) -> list[str]:
    return [passage.title for passage in await KeywordSearch(store).search(question, who)]


async def test_a_folder_is_read_and_can_be_searched(store: Store, folder: Path) -> None:
    write(folder, a="# Seals\n\nSeals sleep on ice.", b="# Owls\n\nOwls hunt at night.")
    assert told(await run(store, folder)) == (2, 0, 0, 0)
    assert await titles(store, "Where do seals sleep?") == ["Seals"]


async def test_a_second_run_changes_nothing_and_says_so(store: Store, folder: Path) -> None:
    write(folder, a="# Seals\n\nText.", b="More.")
    await run(store, folder)
    before = await store.read(lambda db: db.execute("SELECT id FROM chunks ORDER BY id").fetchall())
    again = await run(store, folder)
    assert told(again) == (0, 0, 2, 0)
    assert again.chunks == 0
    assert await store.read(lambda db: db.execute("SELECT id FROM chunks ORDER BY id").fetchall()) == before


async def test_only_what_changed_is_read_again(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.", b="Owls hunt.")
    await run(store, folder)
    write(folder, b="Owls dream.", c="Bees dance.")
    assert told(await run(store, folder)) == (1, 1, 1, 0)
    assert await titles(store, "hunt") == []
    assert await titles(store, "dream") == ["b"]


async def test_a_file_that_vanished_is_no_longer_found(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.", b="Owls hunt.")
    await run(store, folder)
    (folder / "b.md").unlink()
    assert told(await run(store, folder)) == (0, 0, 1, 1)
    assert await titles(store, "owls hunt") == []


async def test_what_lies_elsewhere_is_left_alone(store: Store, tmp_path: Path, folder: Path) -> None:
    write(folder, a="Seals sleep.")
    write(tmp_path / "docs2", b="Owls hunt.")
    await run(store, folder, tmp_path / "docs2")
    (tmp_path / "docs2" / "b.md").unlink()
    assert told(await run(store, folder)) == (0, 0, 1, 0)
    assert await titles(store, "owls") == ["b"]


async def test_a_named_path_that_is_gone_takes_its_documents_with_it(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.", b="Owls hunt.")
    await run(store, folder)
    (folder / "a.md").unlink()
    gone = await run(store, folder / "a.md")
    assert (told(gone), len(gone.skipped)) == ((0, 0, 0, 1), 1)
    assert await titles(store, "seals owls") == ["b"]


async def test_one_bad_file_never_stops_the_rest_and_is_named(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.", z="Owls hunt.")
    (folder / "b.txt").write_bytes(b"\0")
    (folder / "c.txt").write_bytes(b"\xff")
    (folder / "d.txt").write_text("long " * 1000)
    (folder / "e.png").write_bytes(b"x")
    (folder / "f.md").symlink_to(folder / "f.md")
    done = await run(store, folder, max_bytes=1000)
    assert told(done) == (2, 0, 0, 0)
    assert [(Path(name).name, reason.split(";")[0].split(":")[0]) for name, reason in done.skipped] == [
        ("b.txt", "binary, not text"),
        ("c.txt", "not UTF-8 text (byte 0xff at 0)"),
        ("d.txt", "too large"),
        ("e.png", ".png files are not read"),
        ("f.md", "cannot be read"),
    ]
    assert await titles(store, "owls") == ["z"]


async def test_a_document_that_became_something_else_no_longer_answers(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.")
    await run(store, folder)
    (folder / "a.md").write_bytes(b"Seals\0")
    assert told(await run(store, folder)) == (0, 0, 0, 1)
    assert await titles(store, "seals") == []


async def test_a_document_that_is_out_of_reach_for_now_is_kept(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.")
    await run(store, folder)
    (folder / "a.md").unlink()
    (folder / "a.md").symlink_to(folder / "a.md")
    progress = await run(store, folder)
    assert (told(progress), len(progress.skipped)) == ((0, 0, 0, 0), 1)
    assert await titles(store, "seals") == ["a"]


async def test_a_file_that_is_named_itself_is_read_whatever_its_name(store: Store, folder: Path) -> None:
    (folder / "settings.conf").write_text("grace = 10 seconds")
    assert told(await run(store, folder / "settings.conf")) == (1, 0, 0, 0)
    assert await titles(store, "grace") == ["settings"]


async def test_a_path_that_is_given_twice_is_read_once(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.")
    progress = await run(store, folder, folder / "a.md", folder / "." / "a.md", folder)
    assert progress.added == 1
    assert await store.read(lambda db: db.execute("SELECT count(*) FROM documents").fetchone()) == (1,)


async def test_a_path_that_does_not_exist_has_a_reason(store: Store, folder: Path) -> None:
    progress = await run(store, folder / "nothing")
    assert progress.skipped == ((str(folder / "nothing"), f"cannot be read: {os.strerror(errno.ENOENT)}"),)


async def test_a_folder_of_the_kernel_is_told_in_one_sentence(store: Store) -> None:
    progress = await run(store, Path("/proc"))
    ((path, reason),) = progress.skipped
    assert path == "/proc" and "kernel makes it" in reason


async def test_names_of_any_bytes_are_read_and_shown_escaped(store: Store, folder: Path) -> None:
    for name in (b"line\nbreak.md", b"raw\xff.md", "über.md".encode()):
        (folder / os.fsdecode(name)).write_text("Seals sleep.")
    (folder / os.fsdecode(b"raw\xff.png")).write_bytes(b"")
    progress = await run(store, folder)
    assert told(progress) == (3, 0, 0, 0)
    assert [name.removeprefix(f"{folder}/") for name, _ in progress.skipped] == ["raw\\xff.png"]
    assert told(await run(store, folder)) == (0, 0, 3, 0)
    (folder / os.fsdecode(b"raw\xff.md")).unlink()
    assert told(await run(store, folder)) == (0, 0, 2, 1)


async def test_an_empty_file_is_a_document_without_passages(store: Store, folder: Path) -> None:
    write(folder, a="")
    progress = await run(store, folder)
    assert (told(progress), progress.chunks) == ((1, 0, 0, 0), 0)


async def test_each_principal_has_its_own_documents(store: Store, folder: Path) -> None:
    write(folder, a="Seals sleep.")
    await run(store, folder, who=ALICE)
    assert told(await run(store, folder)) == (1, 0, 0, 0)
    ingest = DocumentIngest(store, FakeClock())
    assert (await ingest.counts(ALICE), await ingest.counts(OWNER)) == ((1, 1), (2, 2))


async def test_progress_is_told_between_batches(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_FILES", 3)
    write(folder, **{f"f{n}": f"Text {n}." for n in range(10)})
    progress = [item async for item in DocumentIngest(store, FakeClock()).ingest([folder], OWNER)]
    assert [item.done for item in progress] == sorted(item.done for item in progress)
    assert {3, 6, 9} <= {item.done for item in progress}
    assert all(item.found == 10 for item in progress[1:])
    assert any(item.current.endswith("f2.md") for item in progress)


async def test_many_skipped_files_are_counted_not_collected(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SKIPPED", 3)
    for n in range(10):
        (folder / f"{n}.png").write_bytes(b"")
    skipped = (await run(store, folder)).skipped
    assert len(skipped) == 4
    assert skipped[-1] == ("...", "and 7 more files")


async def test_closing_the_iterator_cancels_and_keeps_what_is_stored(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_FILES", 2)
    write(folder, **{f"f{n}": f"Text {n}." for n in range(10)})
    ingest = DocumentIngest(store, FakeClock())
    async with aclosing(cast(AsyncGenerator[IngestProgress, None], ingest.ingest([folder], OWNER))) as items:
        async for item in items:
            if item.done >= 4:
                break
    assert (await ingest.counts(OWNER))[0] == 4
    assert told(await run(store, folder)) == (6, 0, 4, 0)


async def test_a_large_text_is_read_while_the_loop_goes_on(store: Store, folder: Path) -> None:
    write(folder, big="# Big\n\n" + "Seals sleep on the ice of the north. " * 60_000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count(), name="count the turns of the loop")
    progress = await run(store, folder, max_bytes=2**22)
    counting.cancel()
    assert progress.chunks > 1000
    assert turns > 50


KILLED = """
import asyncio, sys
from pathlib import Path
from agentd.clock import SystemClock
from agentd.records import OWNER
from agentd.retrieval import ingest
from agentd.storage.store import Store, load_migrations

ingest.BATCH_FILES = 20

async def main():
    async with Store(Path(sys.argv[1]), load_migrations("agentd.retrieval")) as store:
        async for item in ingest.DocumentIngest(store, SystemClock()).ingest([Path(sys.argv[2])], OWNER):
            print(item.done, flush=True)

asyncio.run(main())
"""


def start_ingest(path: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(path), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_an_ingest_that_was_killed_is_finished_by_the_next(tmp_path: Path, folder: Path) -> None:
    write(folder, **{f"f{n:04}": f"# Page {n}\n\n" + f"Seals number {n} sleep. " * 100 for n in range(1500)})
    path = tmp_path / "documents.db"
    child = start_ingest(path, folder)
    assert child.stdout is not None
    with child.stdout as lines:
        while int(await asyncio.wait_for(asyncio.to_thread(lines.readline), DEADLINE)) < 100:
            pass
        child.send_signal(signal.SIGKILL)
        assert child.wait(DEADLINE) == -signal.SIGKILL
    async with Store(path, load_migrations("agentd.retrieval")) as store:
        progress = await run(store, folder)
        assert progress.added + progress.unchanged == 1500
        assert 100 <= progress.unchanged < 1500
        check = "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)"
        await store.write(lambda db: db.execute(check))
        assert told(await run(store, folder)) == (0, 0, 1500, 0)


async def test_what_was_read_behind_a_link_out_of_the_folder_is_forgotten(store: Store, tmp_path: Path) -> None:
    write(tmp_path, **{"docs/a": "Seals sleep.", "docs/key": "The secret."})
    await run(store, tmp_path / "docs")
    (tmp_path / "docs/key.md").rename(tmp_path / "key.md")
    (tmp_path / "docs/key.md").symlink_to(tmp_path / "key.md")
    progress = await run(store, tmp_path / "docs")
    assert (told(progress), len(progress.skipped)) == ((0, 0, 1, 1), 1)
    assert await titles(store, "secret") == []


async def stored_earlier(path: Path, *given: tuple[Principal, str, str]) -> None:
    """Documents as a version before 0003.sql stored them, each (whose, source, text) in one chunk."""
    async with Store(path, load_migrations("agentd.retrieval")[:2]) as store:
        for who, source, text in given:
            document = Document(
                source=source,
                title="Old",
                content_hash=hashlib.sha256(text.encode()).hexdigest(),
                bytes=len(text.encode()),
                modified=TIME,
                text=text,
                chunks=[Chunk(heading="", start=0, end=len(text), text=text)],
            )
            await store.write(partial(documents.replace, principal=who, document=document, added=TIME))


GUIDE = "# Guide\n\nIntro.\n\n## Seals\n\nSeals swim.\n\n## Gulls\n\nGulls fly.\n"


async def test_documents_of_an_earlier_way_are_cut_anew_from_what_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    await stored_earlier(path, (OWNER, "/gone/guide.md", GUIDE), (ALICE, "upload:guide.md", GUIDE))
    columns = "source, principal_id, content_hash, bytes, modified, added, text"
    async with Store(path, load_migrations("agentd.retrieval")) as store:

        async def rows() -> list[tuple[object, ...]]:
            return await store.read(lambda db: db.execute(f"SELECT {columns} FROM documents ORDER BY id").fetchall())

        before = await rows()
        ingest = DocumentIngest(store, FakeClock())
        assert await ingest.cut_anew() == 2
        assert await rows() == before and await ingest.counts(OWNER) == (2, 6)
        (passage,) = await KeywordSearch(store).search("Do gulls fly?", ALICE)
        assert (passage.title, passage.heading, passage.text) == ("Guide", "Gulls", "Gulls fly.")
        citation = Citation(n=1, title="", source="/gone/guide.md", start=0, end=7)
        assert await ingest.passage(citation, OWNER, TIME) == "# Guide"
        assert await ingest.cut_anew() == 0


async def test_an_ingest_cuts_documents_of_an_earlier_way_anew(tmp_path: Path, folder: Path) -> None:
    write(folder, guide=GUIDE)
    path = tmp_path / "documents.db"
    await stored_earlier(path, (OWNER, str(folder / "guide.md"), GUIDE))
    async with Store(path, load_migrations("agentd.retrieval")) as store:
        assert told(await run(store, folder)) == (0, 1, 0, 0)
        assert told(await run(store, folder)) == (0, 0, 1, 0)
        assert await DocumentIngest(store, FakeClock()).cut_anew() == 0


async def test_a_document_that_cannot_be_cut_anew_stays_and_holds_up_no_other(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    await stored_earlier(path, (OWNER, "/long.md", GUIDE * 9), (OWNER, "/short.md", GUIDE))
    async with Store(path, load_migrations("agentd.retrieval")) as store:
        ingest = DocumentIngest(store, FakeClock(), max_bytes=2 * len(GUIDE))
        assert await ingest.cut_anew() == 1
        assert await ingest.counts(OWNER) == (2, 4)


async def test_what_changed_while_it_was_cut_is_left_alone(store: Store, folder: Path) -> None:
    write(folder, guide=GUIDE)
    await run(store, folder)
    cut = Document(source="", title="", content_hash="", bytes=0, modified=TIME, text="", chunks=[])
    assert not await store.write(partial(documents.cut_anew, document_id=99, cut=cut))
    assert await DocumentIngest(store, FakeClock()).counts(OWNER) == (1, 3)
