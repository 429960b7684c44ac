from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import Busy, NotFound, UsageError
from agentd.events import InboundEvent, OutboundEvent, Outcome, encode
from agentd.ids import IdSource
from agentd.ports.sessions import SessionView, Summary
from agentd.records import OWNER, Address, Citation, Principal, Sender
from agentd.storage.history import ALL_TOGETHER, SHORTENED
from agentd.storage.marks import Marks
from agentd.storage.sessions import ERASED, Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.storage.turns import TURNS_KEPT, TurnRecords
from agentd.testing.clock import FakeClock

ANN = Principal(kind="token", id="ann")
BEN = Principal(kind="token", id="ben")
IDS = IdSource()
PLACE = Citation(n=1, title="Guide", source="/docs/guide.md", heading="Start", start=3, end=9)


class Kept(Sessions):
    """Sessions, and beside them how their turns ended."""

    def __init__(self, store: Store, clock: FakeClock, **told: Any) -> None:
        super().__init__(store, IDS, clock, **told)
        self.turns = TurnRecords(store, clock)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(store: Store, clock: FakeClock) -> Kept:
    return Kept(store, clock)


def asked(
    session_id: str, text: str = "What is it?", *, principal: Principal = OWNER, key: str = "", kind: str = "message"
) -> InboundEvent:
    turn_id = IDS.next()
    return InboundEvent.model_validate(
        {
            "id": turn_id,
            "time": FakeClock().now(),
            "turn_id": turn_id,
            "session_id": session_id,
            "kind": kind,
            "principal": principal,
            "address": Address(channel="terminal", chat=session_id),
            "sender": Sender(id="1"),
            "message_id": "m",
            "dedupe_key": key or f"key of {turn_id}",
            "content_digest": f"digest of {text}",
            "text": text,
        }
    )


def answered(
    *inbounds: InboundEvent, text: str = "It is this [1].", outcome: Outcome = "answer", session_id: str = ""
) -> OutboundEvent:
    outbound_id = IDS.next()
    return OutboundEvent(
        id=outbound_id,
        time=FakeClock().now(),
        turn_id=inbounds[-1].turn_id if inbounds else outbound_id,
        session_id=inbounds[-1].session_id if inbounds else session_id,
        principal=OWNER,
        address=Address(channel="terminal", chat="c"),
        answers=tuple(inbound.turn_id for inbound in inbounds),
        outcome=outcome,
        text=text,
        citations=(PLACE,),
    )


async def talk(sessions: Kept, principal: Principal, ref: str | None = None, text: str = "What is it?") -> str:
    """One question and its answer; the id of the session."""
    session = await sessions.open(principal, ref)
    inbound = asked(session.id, text, principal=principal)
    await sessions.turns.finish([inbound], answered(inbound))
    return session.id


async def end(sessions: Kept, question: InboundEvent) -> None:
    await sessions.turns.finish([question], answered(question))


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


# --- what a turn leaves ---


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
    with pytest.raises(Busy, match="nothing was asked yet"):
        for n in range(200):
            followed.add((await sessions.open(OWNER, f"more {n}")).id)


async def test_a_finished_turn_is_in_the_history_with_its_citations(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id, "What is it?")
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    question, answer = await sessions.history(OWNER, session.id)
    assert (question.role, question.text, question.turn_id) == ("user", "What is it?", inbound.turn_id)
    assert (answer.role, answer.text, answer.turn_id) == ("assistant", outbound.text, inbound.turn_id)
    assert (question.time, answer.time) == (inbound.time, outbound.time)
    assert (question.citations, answer.citations) == ((), (PLACE,))
    assert not (question.interrupted or answer.interrupted or question.unread or answer.unread)


async def test_finishing_twice_is_the_same_as_once(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    first = answered(inbound, text="first")
    await sessions.turns.finish([inbound], first)
    await sessions.turns.finish([inbound], first)
    await sessions.turns.finish([inbound], answered(inbound, text="second"))
    assert [line.text for line in await sessions.history(OWNER, session.id)] == [inbound.text, "first"]
    assert await sessions.turns.finished(inbound.turn_id) == first


async def test_what_was_finished_comes_back_byte_for_byte(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound, text='\x00 "quotes" \n\u2028 \U0001f600 ' + "long " * 50_000)
    assert await sessions.turns.finished(inbound.turn_id) is None
    await sessions.turns.finish([inbound], outbound)
    stored = await sessions.turns.finished(inbound.turn_id)
    assert stored is not None
    assert encode(stored) == encode(outbound)
    assert (await sessions.history(OWNER, session.id))[-1].text == outbound.text


async def test_what_a_later_agentd_added_to_an_answer_and_to_a_source_is_passed_over(
    sessions: Kept, store: Store
) -> None:
    session_id = await talk(sessions, OWNER)
    question = (await sessions.history(OWNER, session_id))[0]
    stored = await sessions.turns.finished(question.turn_id)
    places = json.dumps([{**PLACE.model_dump(), "page": 7}])

    def grow(db: sqlite3.Connection) -> int:
        db.execute("UPDATE turns SET outbound_json = json_set(outbound_json, '$.mood', 'good', '$.address.floor', 3)")
        return db.execute("UPDATE messages SET citations = ? WHERE role = 'assistant'", (places,)).rowcount

    await store.write(grow)
    assert stored is not None and await sessions.turns.finished(question.turn_id) == stored
    assert (await sessions.history(OWNER, session_id))[1].citations == (PLACE,)


@pytest.mark.parametrize("path", ["$.text", "$.address.chat", "$.type"])
async def test_an_answer_that_does_not_fit_is_none_and_the_log_says_why(
    sessions: Kept, store: Store, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = await talk(sessions, OWNER)
    turn_id = (await sessions.history(OWNER, session_id))[0].turn_id
    query = "UPDATE turns SET outbound_json = json_remove(outbound_json, ?)"
    await store.write(lambda db: db.execute(query, (path,)).rowcount)
    assert await sessions.turns.finished(turn_id) is None
    assert turn_id in caplog.text and "damaged" in caplog.text


async def test_a_finished_turn_is_found_by_its_dedupe_key(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id, key="k1")
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    found = await sessions.turns.by_dedupe_key("k1")
    assert found is not None
    assert (found.turn_id, found.session_id) == (inbound.turn_id, session.id)
    assert (found.content_digest, found.outbound) == (inbound.content_digest, outbound)
    assert await sessions.turns.by_dedupe_key("k2") is None


async def test_several_messages_can_be_answered_together(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    first, second = asked(session.id, "one"), asked(session.id, "two")
    outbound = answered(first, second, text="both")
    await sessions.turns.finish([first, second], outbound)
    assert [line.text for line in await sessions.history(OWNER, session.id)] == ["one", "two", "both"]
    assert await sessions.turns.finished(first.turn_id) == await sessions.turns.finished(second.turn_id) == outbound


async def test_an_interrupted_answer_is_marked(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    await sessions.turns.finish([inbound], answered(inbound, outcome="interrupted"))
    assert [line.interrupted for line in await sessions.history(OWNER, session.id)] == [False, True]


async def test_a_message_of_ours_needs_no_question(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    notice = answered(text="By the way.", outcome="notice", session_id=session.id)
    await sessions.turns.finish([], notice)
    await sessions.turns.finish([], notice)
    assert [(line.role, line.text) for line in await sessions.history(OWNER, session.id)] == [
        ("assistant", "By the way.")
    ]
    assert await sessions.turns.finished(notice.turn_id) == notice


async def test_of_a_history_that_is_too_long_the_newest_is_whole_and_the_rest_says_that_it_is_cut(
    sessions: Kept,
) -> None:
    session = await sessions.open(OWNER, None)
    for n in range(8):
        inbound = asked(session.id, f"question {n}")
        long = str(n) * (20_000_000 if n == 4 else 1_000_000)
        await sessions.turns.finish([inbound], answered(inbound, text=long))
    lines = await sessions.history(OWNER, session.id, limit=100)
    assert [line.text for line in lines if line.role == "user"] == [f"question {n}" for n in range(8)]
    assert lines[-1].text == "7" * 1_000_000
    assert lines[0].text == "question 0"
    cut = "… (cut here: it has 20,000,000 characters)"
    assert lines[9].text.startswith("4" * SHORTENED) and lines[9].text.endswith(cut)
    assert lines[1].text == "0" * SHORTENED + "… (cut here: it has 1,000,000 characters)"
    assert sum(len(line.text) for line in lines) < 2 * ALL_TOGETHER


@pytest.mark.parametrize("kind", ["command", "decision"])
async def test_commands_and_decisions_end_their_turn_and_leave_no_history(sessions: Kept, kind: str) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id, "/status", kind=kind)
    outbound = answered(inbound)
    await sessions.turns.finish([inbound], outbound)
    assert await sessions.history(OWNER, session.id) == []
    assert await sessions.turns.finished(inbound.turn_id) == outbound


async def test_a_finish_that_fails_leaves_nothing(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    first, second = asked(session.id, key="same"), asked(session.id, key="same")
    with pytest.raises(sqlite3.IntegrityError):
        await sessions.turns.finish([first, second], answered(first, second))
    assert await sessions.turns.finished(first.turn_id) is None
    assert await sessions.history(OWNER, session.id) == []


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is it?", "What is it?"),
        ("\n  \n  What\tis \x1b[m it? \nMore.", "What is it?"),
        ("word " * 40, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
        ("\x00\n", ""),
    ],
    ids=ascii,
)
async def test_the_title_is_the_first_line_of_the_first_question(sessions: Kept, question: str, title: str) -> None:
    session_id = await talk(sessions, OWNER, None, question)
    assert (await sessions.open(OWNER, session_id)).title == title


async def test_a_later_question_does_not_change_the_title(sessions: Kept, clock: FakeClock) -> None:
    session_id = await talk(sessions, OWNER, None, "First?")
    clock.advance(60)
    await talk(sessions, OWNER, session_id, "Second?")
    session = await sessions.open(OWNER, session_id)
    assert (session.title, session.messages, session.updated) == ("First?", 4, clock.now())


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


# --- history and lists ---


async def test_history_is_the_newest_messages_in_their_order(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    for n in range(5):
        await talk(sessions, OWNER, session.id, f"q{n}")
    assert [line.text for line in await sessions.history(OWNER, session.id, limit=3)] == [
        "It is this [1].",
        "q4",
        "It is this [1].",
    ]
    assert await sessions.context(session.id, limit=3) == await sessions.history(OWNER, session.id, limit=3)
    assert len(await sessions.history(OWNER, session.id)) == 10


async def test_what_agentd_itself_said_is_in_the_history_and_in_no_prompt(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    for said, notice in (("", "Nobody knows."), ("It is", "(Cut.)"), ("", "")):
        inbound = asked(session.id)
        text = f"{said}\n\n{notice}" if said else notice
        outbound = answered(inbound, text=text, outcome="answer" if notice else "interrupted")
        await sessions.turns.finish([inbound], outbound.model_copy(update={"notice": notice}))
    await sessions.turns.finish([], answered(text="This message was put aside.", session_id=session.id))
    context = await sessions.context(session.id, limit=10)
    assert [(line.role, line.text) for line in context] == [
        ("user", "What is it?"),
        ("user", "What is it?"),
        ("assistant", "It is"),
        ("user", "What is it?"),
    ]
    shown = [line.text for line in await sessions.history(OWNER, session.id) if line.role == "assistant"]
    assert shown == ["Nobody knows.", "It is\n\n(Cut.)", "", "This message was put aside."]


async def test_what_an_earlier_agentd_said_itself_goes_into_no_prompt_either(tmp_path: Path) -> None:
    before = [
        ("answer", "It is this [1]."),
        (
            "answer",
            "The documents do not say. Ask in other words, or add documents that do (`agentd ingest PATH`).",
        ),
        ("answer", "This is agentd without a language model: it cannot chat, but it answers questions."),
        ("answer", "It is\n\n(The answer reached its length limit.)"),
        ("error", "No model could answer."),
    ]
    migrations = load_migrations("agentd.storage")
    async with Store(tmp_path / "agentd.db", migrations[:3]) as store:

        def write(db: sqlite3.Connection) -> None:
            whose = "(id, principal_kind, principal_id, created, updated)"
            db.execute(f"INSERT INTO sessions {whose} VALUES ('s', 'owner', '', 0, 0)")
            for n, (state, text) in enumerate(before):
                said = (f"t{n}", text, "2026-01-02T03:04:05+00:00")
                db.execute(
                    "INSERT INTO messages (session_id, turn_id, role, text, time) VALUES ('s', ?, 'assistant', ?, ?)",
                    said,
                )
                db.execute("INSERT INTO turns VALUES (?, ?, '', 's', ?, '', '', '', '')", (f"t{n}", f"k{n}", state))

        await store.write(write)
    async with Store(tmp_path / "agentd.db", migrations) as store:
        sessions = Sessions(store, IDS, FakeClock())
        assert [line.text for line in await sessions.context("s", limit=9)] == ["It is this [1].", "It is"]
        assert [line.text for line in await sessions.history(OWNER, "s")] == [text for _, text in before]


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


async def test_all_messages_are_read_page_by_page(sessions: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentd.storage.history.PAGE", 50)
    session = await sessions.open(ANN, None)
    for n in range(5):
        await end(sessions, asked(session.id, f"Question {n}? " + "x" * 20, principal=ANN))
    pages = [page async for page in sessions.pages(ANN, session.id)]
    assert len(pages) > 2 and sum(map(len, pages)) == 10
    assert [m.text[:11] for page in pages for m in page if m.role == "user"] == [f"Question {n}?" for n in range(5)]
    with pytest.raises(NotFound):
        _ = [page async for page in sessions.pages(BEN, session.id)]


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


async def test_a_turn_that_ends_after_its_session_was_deleted_is_recorded_without_history(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound)
    await sessions.delete(OWNER, session.id)
    await sessions.turns.finish([inbound], outbound)
    assert await sessions.turns.finished(inbound.turn_id) == outbound
    assert await sessions.context(session.id, limit=10) == []


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


# --- forgetting ---


async def test_old_turns_are_forgotten_and_recent_ones_kept(sessions: Kept, clock: FakeClock) -> None:
    session = await sessions.open(OWNER, None)
    old, recent = asked(session.id), asked(session.id)
    await sessions.turns.finish([old], answered(old))
    clock.advance(TURNS_KEPT.total_seconds())
    assert await sessions.turns.purge() == 0
    await sessions.turns.finish([recent], answered(recent))
    clock.advance(1)
    assert await sessions.turns.purge() == 1
    assert await sessions.turns.finished(old.turn_id) is None
    assert await sessions.turns.finished(recent.turn_id) is not None
    assert len(await sessions.history(OWNER, session.id)) == 4


async def test_turns_cannot_be_forgotten_too_early(sessions: Kept) -> None:
    with pytest.raises(ValueError):
        await sessions.turns.purge(TURNS_KEPT - timedelta(seconds=1))


async def test_many_old_turns_are_forgotten_in_steps(
    sessions: Kept, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.storage.turns.PURGED_AT_ONCE", 3)
    session = await sessions.open(OWNER, None)
    turns = [asked(session.id) for _ in range(7)]
    await asyncio.gather(*(sessions.turns.finish([turn], answered(turn)) for turn in turns))
    clock.advance(TURNS_KEPT.total_seconds() + 1)
    assert await sessions.turns.purge() == 7


async def test_a_finish_whose_caller_was_cancelled_is_whole(sessions: Kept) -> None:
    session = await sessions.open(OWNER, None)
    inbound = asked(session.id)
    outbound = answered(inbound)
    task = asyncio.create_task(sessions.turns.finish([inbound], outbound))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await sessions.turns.finish([inbound], outbound)
    assert len(await sessions.history(OWNER, session.id)) == 2


# --- the queries ---


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM sessions WHERE principal_kind = ? AND principal_id = ? AND newest > 0 ORDER BY newest DESC",
         "sessions_by_principal"),
        ("SELECT * FROM sessions WHERE newest > 0 ORDER BY newest DESC LIMIT 50", "sessions_by_newest"),
        ("SELECT * FROM sessions WHERE principal_kind = ? AND principal_id = ? AND name = ? AND name != ''",
         "sessions_by_name"),
        ("SELECT * FROM messages WHERE session_id = ? ORDER BY id DESC LIMIT 50", "messages_of_session"),
        ("SELECT count(*) FROM messages WHERE session_id = ? AND unread = 1", "messages_unread"),
        ("UPDATE messages SET unread = 1 WHERE turn_id = ? AND role = 'assistant'", "messages_of_turn"),
        ("SELECT turn_id FROM turns WHERE ended < ? LIMIT 1000", "turns_by_end"),
        ("SELECT max(outbound_id) FROM turns", "turns_by_outbound"),
        ("SELECT turn_id FROM turns WHERE dedupe_key = ?", "sqlite_autoindex_turns"),
    ],
    ids=lambda value: value if " " not in value else "",
)  # fmt: skip
async def test_no_query_looks_at_all_rows(store: Store, query: str, index: str) -> None:
    values = (None,) * query.count("?")
    plan = await store.read(lambda db: str(db.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()))
    assert index in plan
    assert "TEMP B-TREE" not in plan


# --- rows that went bad ---


BAD_VALUES = ["x", "", b"\xff\xfe", 5, "2026-01-01T00:00:00"]


async def spoil(store: Store, statement: str, *values: object) -> None:
    await store.write(lambda db: db.execute(statement, values).rowcount)


@pytest.mark.parametrize("value", BAD_VALUES)
async def test_an_answer_that_went_bad_is_told_to_who_asks_again(
    store: Store, sessions: Kept, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    session = await sessions.open(OWNER, None)
    question = asked(session.id, key="k")
    await sessions.turns.finish([question], answered(question))
    await spoil(store, "UPDATE turns SET outbound_json = ?", value)
    assert await sessions.turns.finished(question.turn_id) is None
    found = await sessions.turns.by_dedupe_key("k")
    assert found is not None
    assert (found.outbound.outcome, found.outbound.answers) == ("error", (question.turn_id,))
    assert f"the answer of turn {question.turn_id} in agentd.db is damaged" in caplog.text


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
