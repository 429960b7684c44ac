"""Search finds what fits, shows it only to whose it is, and takes any question."""

# ruff: noqa: RUF001 - characters of other scripts are meant
from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agentd.records import OWNER, Passage, Principal
from agentd.retrieval import documents, search
from agentd.retrieval.chunks import split
from agentd.retrieval.documents import Document
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from tests.builders import TIME

ALICE = Principal(kind="person", id="alice")
BOB = Principal(kind="person", id="bob")

PAGES = {
    "seals": "# Seals\n\n## Sleep\n\nSeals sleep on the ice, a few minutes at a time.\n\n## Food\n\nThey eat fish.",
    "owls": "# Owls\n\nOwls hunt mice at night and sleep by day.",
    "bees": "# Bees\n\nBees dance to tell where flowers are. Their queen never dances.",
    "deutsch": "# Robben\n\nRobben schlafen auf dem Eis. Die Füße sind Flossen.",
    "russian": "# Тюлени\n\nТюлени спят на льду несколько минут.",
    "chinese": "# 海豹\n\n海豹在冰上睡觉，每次几分钟。",
}


def document(name: str, text: str) -> Document:
    outline = split(text, markdown=True)
    return Document(
        source=f"/{name}.md",
        title=outline.title or name,
        content_hash=name,
        bytes=len(text),
        modified=TIME,
        text=text,
        chunks=outline.chunks,
    )


async def put(store: Store, pages: dict[str, str], who: Principal = OWNER) -> None:
    for name, text in pages.items():
        await store.write(lambda db: documents.replace(db, who, document(name, text), TIME))  # noqa: B023


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as opened:
        await put(opened, PAGES)
        yield opened


async def ask(store: Store, question: str, who: Principal = OWNER, limit: int = 8) -> Sequence[Passage]:
    return await KeywordSearch(store).search(question, who, limit=limit)


async def test_the_best_passage_comes_first_with_its_place(store: Store) -> None:
    found = await ask(store, "Where do seals sleep?")
    assert [passage.n for passage in found] == [1, 2, 3]
    first, *others = found
    assert (first.title, first.heading, first.source) == ("Seals", "Sleep", "/seals.md")
    assert first.text == "Seals sleep on the ice, a few minutes at a time."
    assert PAGES["seals"][first.start : first.end] == first.text
    assert all(first.score > other.score > 0 for other in others)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Do queens dance?", "Bees"),
        ("hunting mouse mice", "Owls"),
        ("Wo schläft die Robbe? Robben", "Robben"),
        ("FUSSE flossen", "Robben"),
        ("Где спят тюлени?", "Тюлени"),
        ("海豹在哪里睡觉？", "海豹"),
        ("海", "海豹"),
    ],
)
async def test_questions_of_many_languages_find_their_page(store: Store, question: str, title: str) -> None:
    assert (await ask(store, question))[0].title == title


async def test_stop_words_alone_do_not_decide(store: Store) -> None:
    assert [passage.title for passage in await ask(store, "What do the bees do on the where?")] == ["Bees"]


@pytest.mark.parametrize("question", ["", "   ", "?!", "quantum chromodynamics", "\0", "\ud800", "\x1b[31m"])
async def test_nothing_is_found_where_nothing_fits(store: Store, question: str) -> None:
    assert await ask(store, question) == []


@pytest.mark.parametrize(
    "question",
    [
        'seals" OR "',
        "NEAR(seals, 5)",
        "title:seals",
        "seals*",
        "^seals",
        "-seals",
        "{title}: seals",
        "seals\0",
        "(((seals",
        "\ud800seals\udfff",
        "seals'; DROP TABLE documents; --",
        'AND OR NOT "seals',
    ],
)
async def test_the_syntax_of_the_index_is_only_text(store: Store, question: str) -> None:
    assert (await ask(store, question))[0].title == "Seals"


async def test_a_question_of_a_megabyte_is_answered_in_well_under_a_second(store: Store) -> None:
    for filler in ("lorem ipsum ", "x", "日本語", " ".join(f"word{n}" for n in range(1000))):
        question = (filler * (2**20 // len(filler)))[: 2**20] + " Where do seals sleep?"
        began = time.perf_counter()
        found = await ask(store, question)
        assert time.perf_counter() - began < 0.5
        assert found[0].title == "Seals"


async def test_a_principal_finds_only_its_own_and_the_owner_all(store: Store) -> None:
    await put(store, {"alice": "# Alice\n\nThe otter of Alice."}, ALICE)
    await put(store, {"bob": "# Bob\n\nThe otter of Bob."}, BOB)
    assert [passage.title for passage in await ask(store, "otter", ALICE)] == ["Alice"]
    assert [passage.title for passage in await ask(store, "otter", BOB)] == ["Bob"]
    assert {passage.title for passage in await ask(store, "otter")} == {"Alice", "Bob"}
    assert await ask(store, "seals", ALICE) == []


async def test_another_principals_many_documents_do_not_hide_ones_own(store: Store) -> None:
    await put(store, {f"bob{n}": "otter otter otter" + f" {n}" for n in range(search.DEPTH + 20)}, BOB)
    await put(store, {"alice": "# Alice\n\nOnce an otter was seen, but it was long ago and far away."}, ALICE)
    assert [passage.title for passage in await ask(store, "otter", ALICE)] == ["Alice"]


async def test_neighbours_that_are_both_found_become_one_passage(store: Store) -> None:
    text = "# Otters\n\n" + "".join(f"Sentence {n} says that otters swim in rivers and hold hands. " for n in range(20))
    await put(store, {"otters": text})
    chunks = split(text, markdown=True).chunks
    (found,) = await ask(store, "otters")
    assert len(chunks) > 1
    assert (found.start, found.end) == (chunks[0].start, chunks[-1].end)
    assert found.text == text[found.start : found.end]


async def test_a_passage_never_crosses_a_heading(store: Store) -> None:
    await put(store, {"otters": "# Otters\n\n## One\n\nOtters swim.\n\n## Two\n\nOtters play."})
    assert {passage.heading for passage in await ask(store, "otters")} == {"One", "Two"}


async def test_the_same_text_is_shown_once(store: Store) -> None:
    await put(store, {f"copy{n}": "# Copy\n\nThe otter swims." for n in range(5)})
    assert len(await ask(store, "otter")) == 1


async def test_no_more_passages_than_asked_for(store: Store) -> None:
    await put(store, {f"page{n}": f"# Page {n}\n\nThe otter number {n}." for n in range(20)})
    found = await ask(store, "otter", limit=3)
    assert [passage.n for passage in found] == [1, 2, 3]


async def test_a_long_question_is_cut_to_its_rarest_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "POSTINGS", 0)
    monkeypatch.setattr(search, "RARE_TERMS", 2)
    expression = await store.read(lambda db: search.query(db, "sleep sleeps queen flossen unknown sleeping"))
    assert expression == '"flossen" OR "queen"'


async def test_forms_of_a_word_are_searched_for_once(store: Store) -> None:
    assert await store.read(lambda db: search.query(db, "sleep sleeping sleeps")) == '"sleep"'


async def test_a_passage_that_has_all_of_a_rare_question_comes_near_to_what_is_possible(store: Store) -> None:
    await put(store, {f"page{n}": f"# Page {n}\n\nNothing but the otter number {n}." for n in range(search.FEW)})
    whole = (await ask(store, "Where do seals sleep?"))[0]
    assert 0.4 < whole.score / whole.possible <= 1.0
    part = (await ask(store, "Where do seals and walruses of Antarctica sleep?"))[0]
    assert part.score / part.possible < whole.score / whole.possible / 1.5


async def test_of_a_small_collection_it_is_not_known_what_is_possible(store: Store) -> None:
    assert (await ask(store, "Where do seals sleep?"))[0].possible == 0.0


async def test_a_passage_within_a_table_has_the_head_of_its_table(store: Store) -> None:
    rows = "".join(
        f"| `key{n}` | {n} s | how long the {n}th walrus waits for all of its friends |\n" for n in range(60)
    )
    await put(store, {"settings": f"# Settings\n\n| key | default | meaning |\n|---|---|---|\n{rows}"})
    found = [passage for passage in await ask(store, "How long does the 59th walrus wait?") if "59th" in passage.text]
    assert [passage.head for passage in found] == ["| key | default | meaning |"] and found[0].start > 0


async def test_a_word_that_no_passage_holds_is_looked_for_by_others_that_say_the_same(store: Store) -> None:
    await put(store, {"speed": "# Speed\n\nOwls are quick.", "slow": "# Slow\n\nSnails are slow."})
    assert [passage.title for passage in await ask(store, "faster")] == ["Speed"]
    await put(store, {"faster": "# Falcons\n\nFalcons are faster."})
    assert [passage.title for passage in await ask(store, "faster")] == ["Falcons"], "it has the word itself"
