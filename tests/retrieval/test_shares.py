"""What the owner shares is found by those whom it is shared with, and by nobody else; nobody else can change it."""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.errors import NotFound, UsageError
from agentd.records import OWNER, Citation, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.retrieval.shares import Shares, reader_of
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from agentd.tools.search_documents import SearchDocuments, SearchDocumentsArguments
from agentd.tools.sources import Sources
from tests.contexts import context

ANN, BEN = Principal(kind="person", id="ann"), Principal(kind="person", id="ben")
USER, CHAT = Principal(kind="user", id="1001"), Principal(kind="chat", id="telegram:7")


class House:
    """Notes of the owner about otters and herons, in a folder each, beside one document of Ann's own."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.documents = DocumentIngest(store, self.clock)
        self.shares = Shares(store, self.clock)
        self._search = KeywordSearch(store)

    async def write(self, name: str, text: str) -> None:
        """A note of the owner, read in."""
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)
        async for _ in self.documents.ingest([self.folder], OWNER):
            pass

    async def upload(self, name: str, text: str, who: Principal) -> None:
        async for _ in self.documents.upload(name, text.encode(), who):
            pass

    async def found(self, question: str, who: Principal) -> list[str]:
        """The names of the files that a search finds, which the tool finds as well, and whose place can be shown."""
        found = await self._search.search(question, who)
        sources = Sources()
        tool = SearchDocuments(self._search)
        await tool.run(SearchDocumentsArguments(query=question), context(who, sources))
        assert [one.source for one in sources.passages] == [one.source for one in found]
        for passage in found:
            assert await self.documents.passage(passage, who, self.clock.now()) == passage.text
        return sorted(Path(one.source).name for one in found)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "notes").mkdir()
    async with Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as store:
        house = House(store, tmp_path / "notes")
        await house.write("rivers/otters.md", "# Otters\n\nAn otter sleeps on its back.\n")
        await house.write("lakes/herons.md", "# Herons\n\nA heron sleeps on one leg.\n")
        await house.upload("own.md", "# Bats\n\nA bat sleeps upside down.\n", ANN)
        yield house


async def place(house: House, question: str) -> Citation:
    """The place that the owner's search finds first."""
    return (await house._search.search(question, OWNER))[0]


async def test_a_folder_is_searched_by_others_from_when_it_is_shared_until_it_is_no_longer(house: House) -> None:
    rivers = house.folder / "rivers"
    cited = await place(house, "otter")
    for who in (ANN, BEN, USER):
        assert await house.found("otter", who) == []
        assert await house.documents.passage(cited, who, house.clock.now()) is None
    share = await house.shares.share(rivers, "person:ann")
    assert (share.path, share.whom, share.documents) == (str(rivers), "person:ann", 1)
    assert await house.found("otter sleeps", ANN) == ["otters.md", "upload:own.md"]
    assert await house.found("otter sleeps", BEN) == []
    assert await house.documents.counts(ANN) == (2, 2)
    assert await house.documents.passage(cited, ANN, house.clock.now()) is not None
    (rivers / "more").mkdir()
    await house.write("rivers/more/voles.md", "# Voles\n\nA vole sleeps by day.\n")
    await house.write("rivers-of-others.md", "# Eels\n\nAn eel sleeps in the mud.\n")
    assert await house.found("sleeps", ANN) == ["otters.md", "upload:own.md", "voles.md"]
    assert [gone.documents for gone in await house.shares.unshare(rivers)] == [2]
    assert await house.found("sleeps", ANN) == ["upload:own.md"]
    assert await house.documents.passage(cited, ANN, house.clock.now()) is None
    assert await house.documents.counts(ANN) == (1, 1)
    assert len(await house.found("sleeps", OWNER)) == 5


async def test_everyone_is_everybody_and_each_is_shared_with_for_themselves(house: House) -> None:
    await house.shares.share(house.folder, "everyone")
    await house.shares.share(house.folder, "user:1001")
    for who in (ANN, BEN, USER, CHAT):
        assert "herons.md" in await house.found("heron", who)
    await house.shares.unshare(house.folder, "everyone")
    assert await house.found("heron", USER) == ["herons.md"]
    for who in (BEN, CHAT, Principal(kind="person", id="1001"), Principal(kind="chat", id="1001")):
        assert await house.found("heron", who) == []
    assert [share.whom for share in await house.shares.unshare(house.folder)] == ["user:1001"]
    assert await house.shares.shares() == []


async def test_one_file_is_shared_and_what_lies_inside_another_share_is_told(house: House) -> None:
    file = house.folder / "lakes" / "herons.md"
    await house.shares.share(file, "person:ann")
    assert await house.found("sleeps", ANN) == ["herons.md", "upload:own.md"]
    house.clock.advance(60)
    once_more = await house.shares.share(file, "person:ann")
    assert once_more.since == house.clock.now() - timedelta(seconds=60)
    await house.shares.share(house.folder, "everyone")
    with pytest.raises(NotFound, match=str(house.folder)):
        await house.shares.unshare(house.folder / "rivers")
    with pytest.raises(NotFound):
        await house.shares.unshare(file, "person:ben")
    assert [(share.path, share.whom) for share in await house.shares.shares()] == [
        (str(house.folder), "everyone"),
        (str(file), "person:ann"),
    ]


async def test_only_what_the_owner_read_is_shared(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="agentd ingest"):
        await house.shares.share(tmp_path / "elsewhere", "everyone")
    await house.shares.share(Path("/"), "everyone")
    assert await house.found("sleeps", BEN) == ["herons.md", "otters.md"], "and not what Ann sent"


async def test_whoever_it_is_shared_with_cannot_change_it(house: House) -> None:
    await house.shares.share(house.folder, "everyone")
    await house.upload("otters.md", "# Otters\n\nOtters are robots.\n", BEN)
    async for _ in house.documents.ingest([house.folder / "nothing"], BEN):
        pass
    assert await house.found("otter", OWNER) == ["otters.md", "upload:otters.md"]
    assert await house.found("otter", ANN) == ["otters.md"]


async def test_a_name_that_cannot_be_shown_is_shared_like_any_other(house: House) -> None:
    await house.write("rivers/\udcff.md", "# Newts\n\nA newt sleeps under a stone.\n")
    await house.shares.share(house.folder / "rivers", "everyone")
    assert len(await house.found("newt", BEN)) == 1


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("everyone", "everyone"),
        ("1001", "user:1001"),
        (pwd.getpwuid(0).pw_name, "user:0"),
        (f"user:{pwd.getpwuid(0).pw_name}", "user:0"),
        ("user:77", "user:77"),
        ("no-such-user-here", "person:no-such-user-here"),
        ("person:root", "person:root"),
        ("person:ann:lee", "person:ann:lee"),
    ],
)
def test_a_name_means_a_user_of_the_machine_or_else_a_person(given: str, meant: str) -> None:
    assert reader_of(given) == meant


@pytest.mark.parametrize(
    "given", ["", "person:", "person: x", "person:a\nb", "user:no-such-user-here", "chat:7", "x" * 65]
)
def test_nobody_is_shared_with_by_mistake(given: str) -> None:
    with pytest.raises(UsageError):
        reader_of(given)
