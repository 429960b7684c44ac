"""What was said in a session, as people and as prompts get it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agentd.errors import NotFound
from agentd.records import OWNER
from agentd.storage.history import ALL_TOGETHER, SHORTENED
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from tests.storage.kept import ANN, BEN, IDS, PLACE, Kept, answered, asked, end, talk


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
