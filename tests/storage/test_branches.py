"""A conversation that was asked in several ways: what is shown of it, and what stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agentd.errors import Busy, NotFound
from agentd.events import InboundEvent
from agentd.ports.sessions import Summary
from agentd.records import OWNER
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.testing.clock import FakeClock
from tests.storage.kept import ANN, IDS, Kept, answered, asked


class Talk:
    """One session, whose turns end as soon as they are asked; `turns` by the letters of their questions."""

    def __init__(self, sessions: Kept, session_id: str) -> None:
        self.sessions = sessions
        self.id = session_id
        self.turns: dict[str, str] = {}

    def question(self, text: str, replaces: str = "") -> InboundEvent:
        question = asked(self.id, text).model_copy(update={"replaces": self.turns.get(replaces, replaces)})
        self.turns[text] = question.turn_id
        return question

    async def end(self, question: InboundEvent) -> None:
        await self.sessions.turns.finish([question], answered(question, text=f"{question.text}!"))

    async def ask(self, *texts: str) -> None:
        for text in texts:
            await self.end(self.question(text))

    async def replace(self, earlier: str, text: str) -> None:
        """As the worker does it."""
        question = self.question(text, earlier)
        await self.sessions.turns.make_way(question)
        await self.end(question)

    async def select(self, text: str, *, before: bool = False) -> str:
        return await self.sessions.select(OWNER, self.id, self.turns[text], before=before)

    async def shown(self) -> str:
        """The questions of the branch that is shown; each stands above its answer."""
        lines = [line.text for line in await self.sessions.history(OWNER, self.id)]
        assert lines[1::2] == [f"{text}!" for text in lines[::2]]
        assert lines == [line.text for line in await self.sessions.context(self.id, limit=100)]
        return "".join(lines[::2])

    async def beside(self, text: str) -> str:
        """The questions that stand in one place."""
        letters = {turn: letter for letter, turn in self.turns.items()}
        lines = [line for line in await self.sessions.history(OWNER, self.id) if line.turn_id == self.turns[text]]
        assert len(lines) == 2 and lines[0].branches == lines[1].branches
        return "".join(letters[turn] for turn in lines[0].branches)


@pytest.fixture
async def talk(sessions: Kept) -> Talk:
    return Talk(sessions, (await sessions.open(OWNER, None)).id)


async def test_what_replaces_a_question_is_shown_and_the_other_branch_can_be_shown_again(talk: Talk) -> None:
    await talk.ask("a", "b", "c")
    assert (await talk.shown(), await talk.beside("b")) == ("abc", "")
    await talk.replace("b", "d")
    await talk.ask("e")
    assert (await talk.shown(), await talk.beside("d")) == ("ade", "bd")
    assert await talk.select("b") == talk.turns["c"]
    assert (await talk.shown(), await talk.beside("b")) == ("abc", "bd")
    await talk.ask("f")
    assert await talk.shown() == "abcf"
    assert await talk.select("e") == talk.turns["e"]
    assert await talk.shown() == "ade"
    await talk.replace("a", "g")
    assert (await talk.shown(), await talk.beside("g")) == ("g", "ag")
    assert await talk.select("a") == talk.turns["f"]
    assert await talk.shown() == "abcf"


async def test_a_question_is_taken_back_and_the_next_one_stands_beside_it(talk: Talk) -> None:
    await talk.ask("a", "b")
    assert await talk.select("b", before=True) == talk.turns["a"]
    assert await talk.shown() == "a"
    assert await talk.select("a", before=True) == ""
    assert await talk.shown() == ""
    await talk.ask("c")
    assert (await talk.shown(), await talk.beside("c")) == ("c", "ac")
    assert await talk.select("b") == talk.turns["b"]
    assert await talk.shown() == "ab"


async def test_the_branches_are_listed_with_the_one_that_is_shown(talk: Talk) -> None:
    assert list(await talk.sessions.branches(OWNER, talk.id)) == []
    await talk.ask("a", "b")
    await talk.replace("b", "c")

    async def listed() -> list[tuple[str, str, bool]]:
        ways = await talk.sessions.branches(OWNER, talk.id)
        return [(way.question, way.answer, way.shown) for way in ways]

    assert await listed() == [("c", "c!", True), ("b", "b!", False)]
    await talk.select("a", before=True)
    assert await listed() == [("c", "c!", False), ("b", "b!", False)]
    await talk.select("b")
    await talk.select("b", before=True)
    assert await listed() == [("a", "a!", True), ("c", "c!", False), ("b", "b!", False)]
    assert len(await talk.sessions.branches(OWNER, talk.id, limit=1)) == 1


async def test_before_its_answer_a_turn_shows_only_what_comes_before_it_and_a_crash_changes_nothing(talk: Talk) -> None:
    await talk.ask("a", "b", "c")
    question = talk.question("d", "b")
    for _ in range(2):  # it was killed, and runs again
        await talk.sessions.turns.make_way(question)
        assert await talk.shown() == "a"
    for _ in range(2):
        await talk.end(question)
        assert (await talk.shown(), await talk.beside("d")) == ("ad", "bd")


async def test_a_turn_that_never_ran_takes_its_place_when_it_ends(talk: Talk) -> None:
    await talk.ask("a", "b", "c")
    await talk.end(talk.question("d", "b"))
    assert (await talk.shown(), await talk.beside("d")) == ("ad", "bd")


async def test_what_replaces_nothing_that_there_is_goes_on_with_what_is_shown(talk: Talk) -> None:
    await talk.ask("a")
    await talk.replace("gone", "b")
    assert await talk.shown() == "ab"


async def test_a_turn_that_ends_once_more_follows_what_is_shown_then(talk: Talk) -> None:
    await talk.ask("a")
    question = talk.question("b")
    await talk.end(question)
    await talk.ask("c")
    await talk.sessions.turns.reopen(question)
    await talk.end(question)
    lines = [line.text for line in await talk.sessions.history(OWNER, talk.id)]
    assert lines == ["a", "a!", "b", "b!", "c", "c!", "b", "b!"]
    await talk.replace("c", "d")
    assert await talk.shown() == "ad"
    await talk.select("b")
    assert [line.text for line in await talk.sessions.history(OWNER, talk.id)] == lines


async def test_what_is_not_shown_is_found_by_a_search_that_says_so_and_is_neither_counted_nor_exported(
    talk: Talk,
) -> None:
    await talk.ask("a", "bats")
    await talk.replace("bats", "owls")
    session = await talk.sessions.session(OWNER, talk.id)
    assert (session.title, session.messages) == ("a", 4)
    found = {word: (await talk.sessions.search(OWNER, word))[0] for word in ("bats", "owls")}
    assert [(found[word].turn_id, found[word].aside) for word in found] == [
        (talk.turns["bats"], True),
        (talk.turns["owls"], False),
    ]
    await talk.ask("owls and bats")
    await talk.replace("owls and bats", "bats by day")
    for text, turn in (("owls", "owls"), ("and bats", "owls and bats"), ("day", "bats by day")):
        assert (await talk.sessions.search(OWNER, text))[0].turn_id == talk.turns[turn]
    await talk.select("bats by day", before=True)
    pages = [line.text async for page in talk.sessions.pages(OWNER, talk.id) for line in page]
    assert pages == ["a", "a!", "owls", "owls!"]
    exported = [line.branches async for page in talk.sessions.pages(OWNER, talk.id) for line in page]
    assert exported[2] == (talk.turns["bats"], talk.turns["owls"])


async def test_a_session_of_somebody_else_has_no_branches_for_others(talk: Talk) -> None:
    await talk.ask("a")
    turn = talk.turns["a"]
    for refused in (
        talk.sessions.branches(ANN, talk.id),
        talk.sessions.question(ANN, talk.id, turn),
        talk.sessions.select(ANN, talk.id, turn),
        talk.sessions.question(OWNER, talk.id, "gone"),
        talk.sessions.select(OWNER, talk.id, "gone"),
    ):
        with pytest.raises(NotFound):
            await refused
    other = Talk(talk.sessions, (await talk.sessions.open(OWNER, None)).id)
    with pytest.raises(NotFound):
        await talk.sessions.select(OWNER, other.id, turn)
    assert await talk.sessions.question(OWNER, talk.id, turn) == "a"


async def test_deletion_takes_all_branches(talk: Talk, store: Store) -> None:
    await talk.ask("a", "b")
    await talk.replace("b", "c")
    await talk.sessions.delete(OWNER, talk.id)
    assert await store.read(lambda db: db.execute("SELECT count(*) FROM messages").fetchone()) == (0,)


async def test_a_summary_counts_only_on_its_own_branch(talk: Talk, store: Store, clock: FakeClock) -> None:
    summaries = Summaries(store, clock)
    await talk.ask("a", "b", "c")

    async def keep(text: str, through: str, after: str = "") -> None:
        turn = {"after": talk.turns[after]} if after else {}
        await summaries.keep(talk.id, Summary(text=text, through=talk.turns[through]), "m", **turn)

    await keep("of a", "a")
    await keep("of a and b", "b", "a")
    assert (await summaries.of(talk.id)).text == "of a and b"
    await talk.replace("b", "d")
    assert (await summaries.of(talk.id)).text == "of a"
    for through, after in (("b", ""), ("d", "b")):
        with pytest.raises(Busy):
            await keep("of two branches", through, after)
    await keep("of a and d", "d", "a")
    await talk.ask("e")
    assert (await summaries.of(talk.id)).text == "of a and d"
    await talk.select("c")
    assert (await summaries.of(talk.id)).text == "of a and b"
    await talk.select("a", before=True)
    assert (await summaries.of(talk.id)).text == ""


async def test_what_was_said_with_an_earlier_agentd_is_one_branch(tmp_path: Path) -> None:
    migrations = load_migrations("agentd.storage")
    said = [
        ("s", "t1"),
        ("s", "t1"),
        ("other", "u1"),
        ("s", "t2"),
        ("s", "t2"),
        ("s", "t3"),
        ("s", "t2"),
        ("other", "u2"),
    ]

    def write(db: sqlite3.Connection) -> None:
        for session in ("s", "other"):
            whose = "(id, principal_kind, principal_id, created, updated)"
            db.execute(f"INSERT INTO sessions {whose} VALUES (?, 'owner', '', 0, 0)", (session,))
        rows = [(session, turn, "user", turn, "2026-01-02T03:04:05+00:00") for session, turn in said]
        db.executemany("INSERT INTO messages (session_id, turn_id, role, text, time) VALUES (?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO summaries VALUES ('s', 't1', 'Once.', 'm', '')")

    async with Store(tmp_path / "agentd.db", migrations[:4]) as store:
        await store.write(write)
    async with Store(tmp_path / "agentd.db", migrations) as store:
        sessions = Sessions(store, IDS, FakeClock())
        lines = await sessions.history(OWNER, "s")
        assert [line.text for line in lines] == ["t1", "t1", "t2", "t2", "t3", "t2"]
        assert {line.turn_id: line.parent for line in lines} == {"t1": "", "t3": "t1", "t2": "t3"}
        assert [line.parent for line in await sessions.history(OWNER, "other")] == ["", "u1"]
        assert (await Summaries(store, FakeClock()).of("s")).text == "Once."
        assert await sessions.select(OWNER, "s", "t2", before=True) == "t3"
        assert [line.text for line in await sessions.history(OWNER, "s")] == ["t1", "t1", "t3"]


async def test_of_many_answers_in_one_place_the_newest_are_named_and_the_one_that_is_shown(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.storage.branches.BESIDE", 2)
    await talk.ask("a")
    for text in "bcd":
        await talk.replace("a", text)
    assert await talk.beside("d") == "cd"
    await talk.select("a")
    assert await talk.beside("a") == "acd"
