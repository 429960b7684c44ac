"""Sessions as their principals open, name, list, search and delete them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from agentd.errors import Busy, NotFound, UsageError
from agentd.ids import IdSource
from agentd.ports.sessions import SessionView, Summary
from agentd.records import OWNER, CalledTool, Principal, SaidMessage
from agentd.storage.marks import Marks
from agentd.storage.sessions import ERASED, Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.testing.clock import FakeClock
from tests.storage.kept import ANN, BAD_VALUES, BEN, IDS, Kept, answered, asked, end, spoil, talk

T = TypeVar("T")

# --- opening ---


async def test_a_session_opened_without_a_reference_is_new(sessions: Kept, clock: FakeClock) -> None:
    view: SessionView = sessions
    first, second = await view.open(OWNER, None), await view.open(OWNER, None)
    assert first.id != second.id
    assert (first.principal, first.name, first.title, first.messages, first.unread) == (OWNER, "", "", 0, 0)
    assert first.created == first.updated == clock.now()


async def test_last_is_the_session_with_the_newest_message_also_when_the_clock_went_back(
    sessions: Kept, clock: FakeClock
) -> None:
    older, newer = await talk(sessions, OWNER), await talk(sessions, OWNER)
    await sessions.open(OWNER, None)
    assert (await sessions.open(OWNER, "last")).id == newer
    clock.set_back(86_400)
    await talk(sessions, OWNER, older)
    assert (await sessions.open(OWNER, "last")).id == older


async def test_last_is_the_session_that_was_asked_last_also_before_its_first_answer(
    store: Store, clock: FakeClock
) -> None:
    unanswered: dict[str, str] = {}
    sessions = Kept(store, clock, unanswered=lambda: unanswered)
    waiting = await sessions.open(OWNER, None)
    unanswered[waiting.id] = IDS.next()
    assert (await sessions.open(OWNER, "last")).id == waiting.id
    unanswered[(await sessions.open(ANN, None)).id] = IDS.next()
    unanswered[IDS.next()] = IDS.next()
    assert (await sessions.open(OWNER, "last")).id == waiting.id, "somebody else's, or deleted"
    newer = await talk(sessions, OWNER)
    assert (await sessions.open(OWNER, "last")).id == newer
    unanswered[waiting.id] = IDS.next()
    assert (await sessions.open(OWNER, "last")).id == waiting.id


async def test_last_without_any_message_is_a_new_session(sessions: Kept) -> None:
    empty = await sessions.open(OWNER, None)
    assert (await sessions.open(OWNER, "last")).id != empty.id


async def test_last_is_never_somebody_elses(sessions: Kept) -> None:
    mine = await talk(sessions, OWNER)
    theirs = await talk(sessions, ANN)
    assert (await sessions.open(OWNER, "last")).id == mine
    assert (await sessions.open(ANN, "last")).id == theirs
    assert (await sessions.open(BEN, "last")).id not in (mine, theirs)


async def test_a_session_is_opened_by_its_id(sessions: Kept) -> None:
    session = await sessions.open(ANN, None)
    assert await sessions.open(ANN, session.id) == session
    assert await sessions.open(OWNER, session.id) == session


async def test_an_unknown_id_says_how_to_list_sessions(sessions: Kept) -> None:
    with pytest.raises(NotFound, match="/sessions"):
        await sessions.open(OWNER, IDS.next())


async def test_a_name_opens_the_same_session_every_time(sessions: Kept) -> None:
    made = await asyncio.gather(*(sessions.open(ANN, "work notes") for _ in range(10)))
    assert len({session.id for session in made}) == 1
    assert made[0].name == "work notes"
    assert (await sessions.open(ANN, "work notes")).id == made[0].id


async def test_a_name_belongs_to_one_principal(sessions: Kept) -> None:
    opened = [await sessions.open(principal, "work") for principal in (OWNER, ANN, BEN)]
    assert len({session.id for session in opened}) == 3


async def test_two_ways_to_write_the_same_letter_are_one_name(sessions: Kept) -> None:
    assert (await sessions.open(OWNER, "caf\u00e9")).id == (await sessions.open(OWNER, "cafe\u0301")).id


@pytest.mark.parametrize(
    "name", ["", " ", " x", "x ", "x" * 65, "a\nb", "a\x00b", "\u202eabc", "\ud800", "a\u200bb"], ids=ascii
)
async def test_a_name_must_be_visible_and_short(sessions: Kept, name: str) -> None:
    with pytest.raises(UsageError, match="1 to 64 visible characters"):
        await sessions.open(OWNER, name)


async def test_names_that_are_never_used_do_not_pile_up(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.storage.sessions.UNUSED", 50)
    followed: set[str] = set()
    sessions = Kept(store, clock, followed=lambda: followed)
    talked = await sessions.open(OWNER, "talked")
    inbound = asked(talked.id)
    await sessions.turns.finish([inbound], answered(inbound))
    followed.add((await sessions.open(OWNER, "followed")).id)
    await sessions.open(BEN, "of somebody else")
    for n in range(80):
        await sessions.open(OWNER, f"unused {n}")
    rows = await store.read(lambda db: [row[0] for row in db.execute("SELECT name FROM sessions").fetchall()])
    assert len(rows) <= 52
    assert {"talked", "followed", "of somebody else", "unused 79"} <= set(rows)
    assert "unused 0" not in rows
    followed.update(await store.read(lambda db: [row[0] for row in db.execute("SELECT id FROM sessions").fetchall()]))
    with pytest.raises(Busy, match="nothing was asked"):
        for n in range(200):
            followed.add((await sessions.open(OWNER, f"more {n}")).id)


async def test_the_last_id_is_the_greatest_of_all_that_were_given(sessions: Kept) -> None:
    ids = IdSource()
    ids.seen(await sessions.last_id())
    session = await sessions.open(OWNER, None)
    assert await sessions.last_id() == session.id
    inbound = asked(session.id)
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    assert await sessions.last_id() == outbound.id
    ids.seen(outbound.id)
    assert ids.next() > outbound.id


# --- lists ---


async def test_sessions_are_listed_newest_first_and_only_with_messages(sessions: Kept) -> None:
    first, second = await talk(sessions, ANN), await talk(sessions, ANN)
    await sessions.open(ANN, None)
    await talk(sessions, ANN, first)
    assert [session.id for session in await sessions.list(ANN)] == [first, second]
    assert [session.id for session in await sessions.list(ANN, limit=1)] == [first]


async def test_everybody_lists_their_own_and_the_owner_lists_all(sessions: Kept) -> None:
    mine, anns, bens = [await talk(sessions, principal) for principal in (OWNER, ANN, BEN)]
    chat = await talk(sessions, Principal(kind="chat", id="ann"))
    assert [session.id for session in await sessions.list(ANN)] == [anns]
    assert [session.id for session in await sessions.list(OWNER)] == [chat, bens, anns, mine]


async def test_unread_answers_are_counted_until_they_are_read(sessions: Kept) -> None:
    session = await sessions.open(ANN, None)
    inbound = asked(session.id, principal=ANN)
    await sessions.turns.finish([inbound], answered(inbound))
    await sessions.mark_unread(inbound.turn_id)
    assert [listed.unread for listed in await sessions.list(ANN)] == [1]
    assert [line.unread for line in await sessions.history(ANN, session.id)] == [False, True]
    await sessions.mark_read(ANN, session.id)
    assert [listed.unread for listed in await sessions.list(ANN)] == [0]


async def test_a_session_is_renamed_and_loses_its_name(sessions: Kept) -> None:
    session = await sessions.open(ANN, "old")
    assert (await sessions.rename(ANN, session.id, "new")).name == "new"
    assert (await sessions.open(ANN, "new")).id == session.id
    assert (await sessions.open(ANN, "old")).id != session.id
    assert (await sessions.rename(ANN, session.id, "")).name == ""


async def test_a_name_in_use_is_refused_also_when_the_owner_renames(sessions: Kept) -> None:
    taken, other = await sessions.open(ANN, "taken"), await sessions.open(ANN, "other")
    for principal in (ANN, OWNER):
        with pytest.raises(UsageError, match="belongs to session"):
            await sessions.rename(principal, other.id, "taken")
    assert (await sessions.rename(ANN, taken.id, "taken")).name == "taken"
    with pytest.raises(UsageError, match="choose another name"):
        await sessions.rename(ANN, taken.id, "last")


async def test_deleting_a_session_keeps_how_its_turns_ended(sessions: Kept, store: Store) -> None:
    session = await sessions.open(ANN, None)
    inbound = asked(session.id, key="k")
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    await sessions.delete(ANN, session.id)
    assert await sessions.list(OWNER) == []
    assert await store.read(lambda db: db.execute("SELECT count(*) FROM messages").fetchone()) == (0,)
    erased = outbound.model_copy(update={"text": ERASED, "citations": ()})
    assert await sessions.turns.finished(inbound.turn_id) == erased
    assert await sessions.turns.by_dedupe_key("k") is not None


async def test_no_word_of_a_deleted_session_stays_in_the_files(sessions: Kept, tmp_path: Path) -> None:
    def files_with(word: bytes) -> list[str]:
        return sorted(path.name for path in tmp_path.iterdir() if word in path.read_bytes())

    session, other = await sessions.open(OWNER, "diary"), await sessions.open(OWNER, "other")
    for text in ("A xylophone?", "A long one: " + "xylophone " * 2000):
        question = asked(session.id, text).model_copy(update={"content_digest": "d"})
        await sessions.turns.finish([question], answered(question, text=f"Yes, {text}"))
    called, call = asked(session.id, "?"), CalledTool(call_id="c", tool="play", arguments='"xylophone"')
    said = SaidMessage(role="user", text="A xylophone?")
    handed_back = answered(called, outcome="calls").model_copy(update={"calls": (call,), "asked": (said,)})
    await sessions.turns.finish([called], handed_back)
    kept = asked(other.id, "A trombone?")
    await sessions.turns.finish([kept], answered(kept, text="Yes, a trombone."))
    assert files_with(b"xylophone")
    await sessions.delete(OWNER, session.id)
    assert (files_with(b"xylophone"), files_with(b"trombone")) == ([], ["agentd.db"])
    finished = await sessions.turns.finished(kept.turn_id)
    assert finished is not None and finished.text == "Yes, a trombone."


async def test_nothing_of_a_deleted_session_stays_but_how_its_turns_ended(sessions: Kept, store: Store) -> None:
    session = await sessions.open(OWNER, "diary")
    question = asked(session.id, key="k1")
    await end(sessions, question)
    await Marks(store, FakeClock()).set(OWNER, session.id, question.turn_id, "good", "a note")
    await Summaries(store, FakeClock()).keep(session.id, Summary(text="in short", through=question.turn_id), "model")
    assert (await sessions.delete(OWNER, session.id)).messages == 2

    def left(db: sqlite3.Connection) -> dict[str, int]:
        tables = ("sessions", "messages", "marks", "summaries", "turns")
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}

    assert await store.read(left) == {"sessions": 0, "messages": 0, "marks": 0, "summaries": 0, "turns": 1}
    assert await sessions.turns.by_dedupe_key("k1") is not None


async def test_a_search_finds_each_session_once_and_only_what_its_principal_may_see(sessions: Kept) -> None:
    ann, ben = await sessions.open(ANN, "birds"), await sessions.open(BEN, None)
    for session, who, text in ((ann, ANN, "Owls at night?"), (ann, ANN, "More OWLS."), (ben, BEN, "Owls, too.")):
        await end(sessions, asked(session.id, text, principal=who))
    for who, found in ((ANN, [ann.id]), (BEN, [ben.id]), (OWNER, [ben.id, ann.id])):
        hits = await sessions.search(who, "owls")
        assert sorted(hit.session.id for hit in hits) == sorted(found)
    (hit,) = await sessions.search(ANN, "owls")
    assert "More OWLS." in hit.excerpt
    assert [h.turn_id for h in await sessions.search(ANN, "birds")] == [""]
    assert await sessions.search(ANN, "owls penguins") == []
    assert len(await sessions.search(OWNER, "owls", limit=1)) == 1
    with pytest.raises(UsageError):
        await sessions.search(ANN, "\x1b[2J ")


ForOne = Callable[[Sessions, Principal, str], Awaitable[object]]
METHODS: dict[str, ForOne] = {
    "open": lambda sessions, principal, session_id: sessions.open(principal, session_id),
    "history": lambda sessions, principal, session_id: sessions.history(principal, session_id),
    "rename": lambda sessions, principal, session_id: sessions.rename(principal, session_id, "stolen"),
    "delete": lambda sessions, principal, session_id: sessions.delete(principal, session_id),
    "mark_read": lambda sessions, principal, session_id: sessions.mark_read(principal, session_id),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_somebody_elses_session_looks_like_none_at_all(sessions: Kept, method: ForOne) -> None:
    theirs = await talk(sessions, ANN)
    nowhere = IDS.next()
    with pytest.raises(NotFound) as foreign:
        await method(sessions, BEN, theirs)
    with pytest.raises(NotFound) as unknown:
        await method(sessions, BEN, nowhere)
    assert str(foreign.value).replace(theirs, nowhere) == str(unknown.value)
    assert (await sessions.open(ANN, theirs)).messages == 2


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_the_owner_reaches_every_session(sessions: Kept, method: ForOne) -> None:
    await method(sessions, OWNER, await talk(sessions, ANN))


# --- the queries ---


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM sessions WHERE principal_kind = ? AND principal_id = ? AND newest > 0 ORDER BY newest DESC",
         "sessions_by_principal"),
        ("SELECT * FROM sessions WHERE newest > 0 ORDER BY newest DESC LIMIT 50", "sessions_by_newest"),
        ("SELECT * FROM sessions WHERE principal_kind = ? AND principal_id = ? AND name = ? AND name != ''",
         "sessions_by_name"),
        ("SELECT * FROM messages WHERE session_id = ? AND aside = 0 ORDER BY id DESC LIMIT 50", "messages_shown"),
        ("SELECT parent FROM messages WHERE turn_id = ? AND session_id = ? LIMIT 1", "messages_of_turn"),
        ("UPDATE messages SET parent = ? WHERE session_id = ? AND parent = ?", "messages_by_parent"),
        ("SELECT count(*) FROM messages WHERE session_id = ? AND unread = 1", "messages_unread"),
        ("UPDATE messages SET unread = 1 WHERE turn_id = ? AND role = 'assistant'", "messages_of_turn"),
        ("SELECT turn_id FROM turns WHERE ended < ? LIMIT 1000", "turns_by_end"),
        ("SELECT max(outbound_id) FROM turns", "turns_by_outbound"),
        ("SELECT turn_id FROM turns WHERE dedupe_key = ?", "sqlite_autoindex_turns"),
        ("SELECT id FROM sessions WHERE unlisted != '' AND updated < ? AND id > ? ORDER BY id LIMIT 100",
         "sessions_unlisted"),
        ("UPDATE turns SET outbound_json = '' WHERE session_id = ?", "turns_of_session"),
    ],
    ids=lambda value: value if " " not in value else "",
)  # fmt: skip
async def test_no_query_looks_at_all_rows(store: Store, query: str, index: str) -> None:
    values = (None,) * query.count("?")
    plan = await store.read(lambda db: str(db.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()))
    assert index in plan
    assert "TEMP B-TREE" not in plan


# --- rows that went bad ---


@pytest.mark.parametrize("value", BAD_VALUES)
async def test_a_session_and_a_message_that_went_bad_are_shown_as_far_as_they_can_be_read(
    store: Store, sessions: Kept, value: object
) -> None:
    session = await sessions.open(OWNER, None)
    question = asked(session.id)
    await sessions.turns.finish([question], answered(question))
    for table, columns in (
        ("messages", ("citations", "time", "text")),
        ("sessions", ("created", "updated", "title", "name", "principal_kind", "principal_id")),
    ):
        for column in columns:
            await spoil(store, f"UPDATE {table} SET {column} = ?", value)
    assert [shown.id for shown in await sessions.list(OWNER)] == [session.id]
    assert len(await sessions.history(OWNER, session.id)) == 2
    assert not await sessions.list(ANN)


async def test_an_id_that_went_bad_is_not_the_greatest(store: Store, sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    for value in ("ffffffffffffffff-00000000", b"\xff", "zzz"):
        await spoil(
            store,
            "INSERT INTO sessions (id, principal_kind, principal_id, created, updated) VALUES (?, 'a', 'b', '', '')",
            value,
        )
    assert await sessions.last_id() == session.id
    text = "a text with halves: \ud83d".encode("utf-8", "surrogatepass")
    await store.write(lambda db: db.execute("UPDATE sessions SET title = CAST(? AS TEXT)", (text,)).rowcount)
    assert (await sessions.open(OWNER, session.id)).title.startswith("a text with halves")


class Gated(Store):
    """Counts the reads that run, which wait for a gate."""

    gate = asyncio.Event()
    running = most = 0

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            return await super().read(run)
        finally:
            self.running -= 1


async def test_searches_hold_two_readers_at_most_even_if_those_who_search_leave(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with Gated(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        store.gate.clear()
        sessions = Kept(store, clock)
        who = [OWNER, OWNER, ANN, ANN, BEN, BEN]
        searches = [asyncio.create_task(sessions.search(principal, "owls")) for principal in who]
        await asyncio.sleep(0)
        searches[2].cancel()
        await asyncio.wait([searches[2]])
        await asyncio.sleep(0)
        store.gate.set()
        results = await asyncio.gather(*searches, return_exceptions=True)
        assert store.most == 2 and results.count([]) == 5


# --- for one question ---


async def once(
    sessions: Kept, principal: Principal = OWNER, channel: str = "terminal", text: str = "What is it?"
) -> str:
    """A session that was opened for one question and has its answer; its id."""
    session = await sessions.open(principal, None, channel=channel, listed=False)
    await end(sessions, asked(session.id, text, principal=principal))
    return session.id


async def shown(sessions: Kept) -> set[str]:
    """The sessions that the owner's list shows, which are those that a search finds."""
    listed = {session.id for session in await sessions.list(OWNER)}
    assert listed == {hit.session.id for hit in await sessions.search(OWNER, "what is it")}
    return listed


async def test_a_session_for_one_question_is_listed_and_found_only_when_it_is_continued(sessions: Kept) -> None:
    single = await once(sessions)
    assert await shown(sessions) == set()
    assert not (await sessions.session(OWNER, single)).listed
    await talk(sessions, OWNER, single)
    assert await shown(sessions) == {single}
    assert (await sessions.session(OWNER, single)).listed


async def test_two_questions_with_one_answer_make_it_listed(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None, channel="terminal", listed=False)
    questions = [asked(session.id), asked(session.id)]
    await sessions.turns.finish(questions, answered(*questions))
    assert await shown(sessions) == {session.id}


async def test_a_name_makes_it_listed(sessions: Kept) -> None:
    single = await once(sessions)
    await sessions.rename(OWNER, single, "kept")
    assert await shown(sessions) == {single}
    assert await shown(sessions) == {await talk(sessions, OWNER, "kept")}


async def test_last_is_a_session_for_one_question_only_over_the_channel_that_opened_it(
    store: Store, clock: FakeClock
) -> None:
    unanswered: dict[str, str] = {}
    sessions = Kept(store, clock, unanswered=lambda: unanswered)
    listed = await talk(sessions, OWNER)
    single = await once(sessions)
    other = await once(sessions, channel="websocket")
    assert (await sessions.open(OWNER, "last", channel="terminal")).id == single
    assert (await sessions.open(OWNER, "last", channel="websocket", listed=False)).id == other
    assert (await sessions.open(OWNER, "last", channel="telegram")).id == listed
    waiting = await sessions.open(OWNER, None, channel="websocket", listed=False)
    unanswered[waiting.id] = IDS.next()
    assert (await sessions.open(OWNER, "last", channel="terminal")).id == single
    assert (await sessions.open(OWNER, "last", channel="websocket")).id == waiting.id


async def test_only_a_new_session_without_a_name_is_for_one_question(sessions: Kept) -> None:
    named = await sessions.open(OWNER, "diary", channel="terminal", listed=False)
    assert named.listed
    listed = await talk(sessions, OWNER)
    assert (await sessions.open(OWNER, listed, channel="terminal", listed=False)).listed
    assert not (await sessions.open(ANN, "last", channel="terminal", listed=False)).listed


async def test_what_nobody_continued_goes_in_time_and_is_still_known_to_be_answered(
    sessions: Kept, clock: FakeClock
) -> None:
    old, week = [await once(sessions), await once(sessions, ANN, "websocket")], timedelta(days=7)
    continued = await once(sessions)
    listed = await talk(sessions, OWNER)
    clock.advance(week.total_seconds() - 60)
    young = await once(sessions)
    assert await sessions.expired(week) == []
    await talk(sessions, OWNER, continued)
    clock.advance(120)
    assert await sessions.expired(week) == sorted(old)
    assert await sessions.expired(week, limit=1) == sorted(old)[:1]
    assert await sessions.expired(week, after=sorted(old)[0]) == sorted(old)[1:]
    turn = (await sessions.history(OWNER, old[0]))[-1].turn_id
    assert set(await sessions.expire([*old, young, continued, listed, IDS.next()], week)) == set(old)
    for gone in old:
        with pytest.raises(NotFound):
            await sessions.session(OWNER, gone)
    ended = await sessions.turns.finished(turn)
    assert ended is not None and ended.text == ERASED
    assert await shown(sessions) == {continued, listed}
