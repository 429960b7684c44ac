"""The tool `search_documents`, over a real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.records import OWNER, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from agentd.tools.search_documents import SearchDocuments, SearchDocumentsArguments
from agentd.tools.sources import Sources
from tests.builders import passage
from tests.contexts import context

GUEST = Principal(kind="chat", id="7")


@pytest.fixture
async def tool(tmp_path: Path) -> AsyncIterator[SearchDocuments]:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "otters.md").write_text("# Otters\n\nAn otter sleeps on its back.\n")
    (folder / "herons.md").write_text("# Herons\n\nA heron sleeps on one leg.\n")
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as store:
        ingest = DocumentIngest(store, FakeClock(), max_bytes=1_000_000)
        async for _ in ingest.ingest([folder], OWNER):
            pass
        yield SearchDocuments(KeywordSearch(store))


def query(text: str) -> SearchDocumentsArguments:
    return SearchDocumentsArguments(query=text)


async def test_passages_have_the_next_numbers_of_the_turn(tool: SearchDocuments) -> None:
    sources = Sources()
    sources.add([passage(1), passage(2)])
    text = await tool.run(query("otter"), context(sources=sources))
    assert text == "[3] Otters\nAn otter sleeps on its back.\n"
    assert [one.n for one in sources.passages] == [1, 2, 3]
    assert "on its back" in sources.passages[-1].text


async def test_a_passage_that_the_model_has_is_not_repeated(tool: SearchDocuments) -> None:
    sources = Sources()
    await tool.run(query("otter"), context(sources=sources))
    text = await tool.run(query("sleeps"), context(sources=sources))
    assert "[1] is " in text and "one leg" in text and "on its back" not in text
    assert [one.n for one in sources.passages] == [1, 2]


async def test_only_what_the_asker_may_read_is_found(tool: SearchDocuments) -> None:
    sources = Sources()
    text = await tool.run(query("otter"), context(GUEST, sources))
    assert text.startswith("Nothing ") and sources.passages == ()
