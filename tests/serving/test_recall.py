"""What a conversation remembers, over a real database of conversations and one of documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import NotFound, UsageError
from agentd.ids import IdSource
from agentd.ports.models import EXTRACTIVE
from agentd.records import OWNER, Citation, Principal, TurnUsage
from agentd.retrieval.ingest import DocumentIngest
from agentd.serving.recall import SHOWN, Recall
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.clock import FakeClock
from tests.builders import TIME, inbound, outbound

GUEST = Principal(kind="chat", id="7")


class House:
    def __init__(self, store: Store, documents: Store) -> None:
        self.clock = FakeClock(TIME)
        self.sessions, self.turns = Sessions(store, IdSource(), self.clock), TurnRecords(store, self.clock)
        self.documents = DocumentIngest(documents, self.clock)
        self.recall = Recall(self.sessions, self.turns, self.documents)

    async def session(self) -> str:
        return (await self.sessions.open(OWNER, None)).id

    async def talk(self, session: str, question: str, answer: str, **fields: Any) -> None:
        asked = inbound(question, session_id=session)
        fields = {"time": self.clock.now(), **fields}
        await self.turns.finish([asked], outbound(asked, answer, **fields))

    async def ingest(self, path: Path) -> None:
        async for _ in self.documents.ingest([path], OWNER):
            pass


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with (
        Store(folder / "agentd.db", load_migrations("agentd.storage")) as store,
        Store(folder / "documents.db", load_migrations("agentd.retrieval")) as documents,
    ):
        yield House(store, documents)


async def test_the_last_questions_are_shown_with_their_answers_in_short(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.session()
        with pytest.raises(NotFound, match="nothing was asked"):
            await h.recall.history(OWNER, session, "")
        for n in range(7):
            await h.talk(session, f"Question {n}?", f"Answer {n}.")
        await h.talk(session, "Long?", "x" * (SHOWN + 1))
        assert await h.recall.history(OWNER, session, "2") == (
            f"> Question 6?\n\nAnswer 6.\n\n> Long?\n\n{'x' * SHOWN}…"
        )
        assert (await h.recall.history(OWNER, session, "")).startswith("> Question 3?")
        for wrong in ("0", "51", "all"):
            with pytest.raises(UsageError, match="from 1 to 50"):
                await h.recall.history(OWNER, session, wrong)
        with pytest.raises(NotFound):
            await h.recall.history(GUEST, session, "")


async def test_the_sources_of_the_last_answer_come_with_the_text_that_was_cited(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("# Rent\n\nThe rent is due on the third working day.\n\nPay it by transfer.\n")
    async with house(tmp_path) as h:
        session = await h.session()
        await h.ingest(notes)
        start = notes.read_text().index("The rent")
        place = Citation(n=1, title="Rent", source=str(notes), heading="Rent", start=start, end=start + 41)
        await h.talk(session, "When?", "On the third [1].", citations=(place,))
        assert await h.recall.sources(OWNER, session) == (
            f"[1] {notes}, Rent\n    The rent is due on the third working day."
        )
        h.clock.advance(60)
        notes.write_text("# Rent\n\nNobody pays any more.\n")
        await h.ingest(notes)
        assert "changed or removed" in await h.recall.sources(OWNER, session)
        await h.talk(session, "Well?", "I do not know.")
        assert "no sources" in await h.recall.sources(OWNER, session)


async def test_a_passage_is_filled_anew_but_keeps_its_lists_and_code(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    text = "A line that was\nbroken by hand.\n\n- one\n- two"
    code = "Run this\nnow:\n\n```\nx = 1\n\ny = 2\nz = 3\n```"
    notes.write_text(f"{text}\n\n{code}")
    async with house(tmp_path) as h:
        session = await h.session()
        await h.ingest(notes)
        place = Citation(n=1, title="N", source=str(notes), start=0, end=len(text))
        await h.talk(session, "When?", "So [1].", citations=(place,))
        assert await h.recall.sources(OWNER, session) == (
            f"[1] {notes}\n    A line that was broken by hand.\n\n    - one\n    - two"
        )
        place = place.model_copy(update={"start": len(text) + 2, "end": len(text) + 2 + len(code)})
        await h.talk(session, "How?", "So [1].", citations=(place,))
        assert await h.recall.sources(OWNER, session) == (
            f"[1] {notes}\n    Run this\n    now:\n\n    ```\n    x = 1\n\n    y = 2\n    z = 3\n    ```"
        )


async def test_the_last_question_and_what_its_answer_took_are_found(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.session()
        with pytest.raises(NotFound, match="no question"):
            await h.recall.last_question(OWNER, session)
        with pytest.raises(NotFound, match="no answer"):
            await h.recall.usage(OWNER, session)
        await h.talk(session, "Why?", "Because.")
        assert "not known" in await h.recall.usage(OWNER, session)
        took = TurnUsage(prompt_tokens=90, completion_tokens=4)
        await h.talk(session, "Why not?", "For no reason.", usage=took, model="small")
        assert (await h.recall.last_question(OWNER, session)).text == "Why not?"
        assert await h.recall.usage(OWNER, session) == "small: 90 tokens read, 4 written"
        await h.talk(session, "How?", "So.", usage=took, model=EXTRACTIVE)
        assert await h.recall.usage(OWNER, session) == "90 tokens read, 4 written"
