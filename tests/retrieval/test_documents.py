"""Documents, chunks and the index change together, and each principal has its own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agentd.records import OWNER, Principal
from agentd.retrieval import documents
from agentd.retrieval.chunks import split
from agentd.retrieval.documents import Document
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from tests.builders import TIME

MOST_TIMES = 12
ALICE = Principal(kind="person", id="alice")
BOB = Principal(kind="person", id="bob")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as opened:
        yield opened


def document(source: str = "/a.md", text: str = "Sea lions sleep.", title: str = "Title") -> Document:
    return Document(
        source=source,
        title=title,
        content_hash=f"hash of {text}",
        bytes=len(text),
        modified=TIME,
        text=text,
        chunks=split(text, markdown=True).chunks,
    )


async def put(store: Store, *some: Document, principal: Principal = OWNER) -> None:
    def write(db: sqlite3.Connection) -> None:
        for one in some:
            documents.replace(db, principal, one, TIME)

    await store.write(write)


async def found(store: Store, expression: str) -> list[str]:
    return await store.read(
        lambda db: [
            text
            for (text,) in db.execute(
                "SELECT chunks.text FROM chunks_fts JOIN chunks ON chunks.id = chunks_fts.rowid"
                " WHERE chunks_fts MATCH ? ORDER BY rank",
                (expression,),
            )
        ]
    )


async def vocabulary(store: Store) -> set[str]:
    return await store.read(lambda db: {term for (term,) in db.execute("SELECT term FROM chunks_vocabulary")})


async def check_index(store: Store) -> None:
    """SQLite compares the index with the chunks; raises DatabaseError where they differ."""
    await store.write(lambda db: db.execute("INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)"))


async def test_a_document_is_found_by_text_heading_and_title(store: Store) -> None:
    await put(store, document(text="# T\n\n## Habits\n\nSea lions sleep.", title="Animals"))
    for word in ("sleeping", "habit", "animal"):
        assert await found(store, word) == ["Sea lions sleep."]
    await check_index(store)


async def test_a_changed_document_replaces_the_old_one(store: Store) -> None:
    await put(store, document(text="Old words here."))
    await put(store, document(text="New ones here."))
    assert await found(store, "old OR new") == ["New ones here."]
    assert await store.read(lambda db: documents.counts(db, OWNER)) == (1, 1)
    assert await store.read(lambda db: documents.hashes(db, OWNER, ["/a.md", "/b.md"])) == {
        "/a.md": "hash of New ones here."
    }
    await check_index(store)


async def test_nothing_of_a_removed_document_is_left(store: Store) -> None:
    await put(store, document("/a.md", "Sea lions sleep."), document("/b.md", "数据库 Ω ﬁne.", title="标题文字"))
    assert await store.write(lambda db: documents.remove(db, OWNER, ["/a.md", "/b.md", "/c.md"])) == 2
    assert await vocabulary(store) == set()
    assert await store.read(lambda db: documents.counts(db, OWNER)) == (0, 0)
    await check_index(store)


async def test_chinese_is_found_by_any_two_characters(store: Store) -> None:
    await put(store, document(text="数据库保存所有消息。", title="标题"))
    assert await found(store, '"保存"') == ["数据库保存所有消息。"]
    assert await found(store, '"标题"') == ["数据库保存所有消息。"]
    await check_index(store)


async def test_the_text_of_a_place_is_exact(store: Store) -> None:
    text = "# T\n\nÜber 🦀 消息 text."
    await put(store, document(text=text))
    for chunk in split(text, markdown=True).chunks:
        assert await store.read(lambda db: documents.text_between(db, 1, chunk.start, chunk.end)) == chunk.text  # noqa: B023


async def test_ids_are_never_given_twice(store: Store) -> None:
    def newest(db: sqlite3.Connection) -> tuple[int, int]:
        return db.execute("SELECT max(documents.id), max(chunks.id) FROM documents, chunks").fetchone()  # type: ignore[no-any-return]

    await put(store, document(text="One."))
    before = await store.read(newest)
    await store.write(lambda db: documents.remove(db, OWNER, ["/a.md"]))
    await put(store, document(text="Two."))
    after = await store.read(newest)
    assert after[0] > before[0] and after[1] > before[1]


async def test_every_principal_has_its_own_and_the_owner_sees_all(store: Store) -> None:
    await put(store, document(text="Alice's words."), principal=ALICE)
    await put(store, document(text="Bob's words. " * 100), principal=BOB)
    one, two, all_of_them = [
        await store.read(lambda db, who=who: documents.counts(db, who))  # type: ignore[misc]
        for who in (ALICE, BOB, OWNER)
    ]
    assert one == (1, 1)
    assert two[0] == 1
    assert all_of_them == (one[0] + two[0], one[1] + two[1])
    assert await store.write(lambda db: documents.remove(db, ALICE, ["/a.md"])) == 1
    assert (await store.read(lambda db: documents.counts(db, BOB)))[0] == 1


async def test_sources_are_listed_in_pages(store: Store) -> None:
    await put(store, *(document(f"/d/{n}.md") for n in range(5)), document("/e/1.md"))

    async def page(after: str) -> list[str]:
        return await store.read(lambda db: documents.sources_between(db, OWNER, "/d/", "/d0", after=after, limit=3))

    assert await page("") == ["/d/0.md", "/d/1.md", "/d/2.md"]
    assert await page("/d/2.md") == ["/d/3.md", "/d/4.md"]
    assert await page("/d/4.md") == []


async def test_more_sources_than_a_statement_takes_are_looked_up(store: Store) -> None:
    await put(store, document("/d/7.md"))
    many = [f"/d/{n}.md" for n in range(3 * documents.PARAMETERS)]
    assert set(await store.read(lambda db: documents.hashes(db, OWNER, many))) == {"/d/7.md"}
    assert await store.write(lambda db: documents.remove(db, OWNER, many)) == 1


async def test_a_new_store_has_nothing_to_complain_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")):
        assert not caplog.records


async def test_documents_that_were_indexed_before_are_found_as_they_are_now(tmp_path: Path) -> None:
    path, migrations = tmp_path / "documents.db", load_migrations("agentd.retrieval")
    rows = ["\u0401\u043b\u043a\u0430 \u0442\u0443\u0442.", "The tur\u2060bine.", "The boiler."]
    async with Store(path, migrations[:1]) as store:

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO documents (id, principal_kind, principal_id, source, title, content_hash, bytes, modified,"
                " added, text) VALUES (1, 'owner', '', 'a', '\u0401\u0436', '', 0, '', '', '')"
            )
            for n, text in enumerate(rows):
                db.execute(
                    "INSERT INTO chunks (document_id, n, heading, start, \"end\", text) VALUES (1, ?, '', 0, 0, ?)",
                    (n, text),
                )

        await store.write(write)
    async with Store(path, migrations) as store:
        search = KeywordSearch(store)
        for question in (
            "\u0433\u0434\u0435 \u0451\u043b\u043a\u0430?",
            "\u0433\u0434\u0435 \u0435\u043b\u043a\u0430?",
        ):
            assert [found.text for found in await search.search(question, OWNER)] == [rows[0]]
        assert [found.text for found in await search.search("turbine", OWNER)] == [rows[1]]
        assert len(await search.search("\u0435\u0436", OWNER)) == 1
        check = "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)"
        await store.write(lambda db: db.execute(check))
        # What is removed later leaves no entry behind.
        await store.write(lambda db: db.execute("DELETE FROM documents"))
        await store.write(lambda db: db.execute(check))


CHINESE = "".join(map(chr, range(0x4E00, 0x9E00)))
"""Its pairs are all different, which is the most that an index can be given."""
AMPLIFIED: dict[str, Callable[[int], str]] = {
    "a heading of Chinese above many": lambda n: (
        f"# T\n## {CHINESE[:150]}\n"
        + "".join(f"### {CHINESE[k : k + 140]}\n{'aa bb ' * 30}\n" for k in range(n // 256))
    ),
    "a heading that stands for sentences": lambda n: (
        "# T\n## " + "\ufdfa" * 160 + "\n" + "".join(f"### {k}\n{'aa bb ' * 40}\n" for k in range(n // 256))
    ),
    "characters that stand for sentences": lambda n: "\ufdfa" * (n // 3),
    "squared words": lambda n: "\u3316" * (n // 3),
    "Chinese": lambda n: "".join(CHINESE[(k * 7919) % 20000 :][:40] for k in range(n // 120)),
    "words": lambda n: "".join(f"{k:x} " for k in range(n // 5)),
    "titles": lambda n: f"# {CHINESE[:160]}\n" + "".join(f"## a\n{'aa bb ' * 40}\n" for _ in range(n // 256)),
}


@pytest.mark.parametrize("name", AMPLIFIED)
async def test_a_document_takes_a_bounded_multiple_of_its_size(tmp_path: Path, name: str) -> None:
    text = AMPLIFIED[name](1 << 18)
    path = tmp_path / "documents.db"
    async with Store(path, load_migrations("agentd.retrieval")) as store:
        await put(store, document(text=text, title=split(text, markdown=True).title or "T"))
    assert path.stat().st_size < MOST_TIMES * len(text.encode())


async def listed(
    store: Store, principal: Principal, before: int = 2**53, limit: int = 10
) -> list[tuple[str, str, int]]:
    found = await store.read(lambda db: documents.newest(db, principal, before, limit))
    return [(info.principal.id, info.source, info.chunks) for info in found]


async def test_documents_are_listed_page_by_page_and_each_principal_sees_their_own(store: Store) -> None:
    await put(store, document("/a.md"), document("/b.md", "# One\n\nA.\n\n# Two\n\nB."))
    await put(store, document("/c.md"), principal=ALICE)
    assert await listed(store, OWNER) == [("alice", "/c.md", 1), ("", "/b.md", 2), ("", "/a.md", 1)]
    assert await listed(store, OWNER, before=3, limit=1) == [("", "/b.md", 2)]
    assert await listed(store, ALICE) == [("alice", "/c.md", 1)]
    assert await listed(store, BOB) == []


async def test_what_is_removed_is_found_no_more_and_nobody_removes_what_is_another_s(store: Store) -> None:
    await put(store, document("/a.md", "Owls sleep."), document("/b.md", "Bats sleep."))
    await put(store, document("/c.md", "Dogs sleep."), principal=ALICE)

    async def removed(principal: Principal, *ids: int) -> list[int]:
        return await store.write(lambda db: documents.remove_by_id(db, principal, ids))

    assert await removed(ALICE, 1, 2, 3, 9) == [3]
    assert sorted(await found(store, "sleep")) == ["Bats sleep.", "Owls sleep."]
    await put(store, document("/c.md", "Dogs sleep."), principal=ALICE)
    assert await removed(OWNER, 1, 4, *range(10, 2000)) == [1, 4]
    assert await found(store, "sleep") == ["Bats sleep."]
