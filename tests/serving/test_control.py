"""Slash commands on the daemon's side, over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from agentd.errors import ModelError, NotFound, UsageError
from agentd.ids import IdSource
from agentd.ports.documents import IngestProgress
from agentd.ports.status import StatusReport
from agentd.records import OWNER, Citation, Principal, TurnUsage
from agentd.serving.control import ConversationCommands, DaemonControl, HouseCommands
from agentd.serving.recall import Recall
from agentd.status.text import status_lines
from agentd.storage.marks import Marks
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.clock import FakeClock
from tests.builders import inbound, outbound

GUEST = Principal(kind="chat", id="7")
STATUS = StatusReport.model_validate(
    {
        "daemon": {"version": "1", "pid": 7, "in_process": False, "state_dir": "/var", "free_mb": 1234},
        "model": {"name": "tiny", "note": "ready"},
        "documents": {"documents": 2, "chunks": 30},
        "turns": {"running": 1, "waiting": 0},
        "usage": {"answers": 0},
        "pending": {
            "unanswered": 1,
            "undelivered": 2,
            "deferred": 0,
            "oldest_age": None,
            "dead": 3,
            "dead_by_reason": {},
        },
        "channels": [],
        "problems": ["channel telegram is degraded: 409"],
    }
)
PUBLIC = StatusReport.model_validate(
    {
        "daemon": {"version": "1", "pid": 7, "in_process": False},
        "model": {"name": "tiny", "note": "ready"},
        "yours": {"documents": 0, "chunks": 0},
        "problems": ["some things need the owner's attention"],
    }
)


class Parts:
    """The rest of the house: an inbox that stops, documents that are counted, a status, and models to choose."""

    def __init__(self) -> None:
        self.running = ""
        self.used: list[Path | None] = []

    async def stop(self, session_id: str, principal: Principal) -> bool:
        return session_id == self.running

    async def counts(self, principal: Principal) -> tuple[int, int]:
        return (2, 30) if principal == OWNER else (0, 0)

    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        return "The text."

    def ingest(self, paths: Sequence[Path], principal: Principal) -> AsyncIterator[IngestProgress]:
        raise NotImplementedError

    async def snapshot(self, principal: Principal) -> StatusReport:
        return STATUS if principal == OWNER else PUBLIC

    async def refusals(self) -> list[str]:
        return []

    async def use(self, path: Path | None) -> str:
        if path is None:
            self.used.append(None)
            return "nothing more answers from now on"
        if path.suffix != ".gguf" or path.stem == "none":
            raise ModelError(f"{path} is no GGUF file.")
        self.used.append(path)
        return f"{path.stem} answers from now on"


class House:
    def __init__(self, store: Store) -> None:
        self.clock, self.parts = FakeClock(), Parts()
        self.sessions, self.marks = Sessions(store, IdSource(), self.clock), Marks(store, self.clock)
        self.turns = TurnRecords(store, self.clock)
        self.control = self._control(True)

    def _control(self, models: bool) -> DaemonControl:
        parts = self.parts
        conversations = ConversationCommands(
            sessions=self.sessions,
            recall=Recall(self.sessions, self.turns, parts),
            marks=self.marks,
            inbox=parts,
            changes=self.sessions,
            clock=self.clock,
        )
        house = HouseCommands(documents=parts, status=parts, models=parts if models else None)
        return DaemonControl(conversations, house)

    def without_models(self) -> None:
        self.control = self._control(False)

    async def say(self, text: str, session: str = "", principal: Principal = OWNER) -> str:
        return (await self.control.run(text, principal, session)).text

    async def talked(self, question: str, name: str | None = None, principal: Principal = OWNER) -> str:
        """A session with one question and its answer."""
        session = (await self.sessions.open(principal, name)).id
        asked = inbound(question, session_id=session, principal=principal)
        await self.turns.finish([asked], outbound(asked, "An answer."))
        return session


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with Store(folder / "agentd.db", load_migrations("agentd.storage")) as store:
        yield House(store)


async def test_conversations_are_listed_and_resumed_by_number_name_or_id(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert "no conversation" in await h.say("/sessions")
        old = await h.talked("Where to go?", "holiday")
        h.clock.advance(7200)
        new = await h.talked("What is for dinner tonight, and who is going to cook all of it?")
        await h.talked("Private", principal=GUEST)
        h.clock.advance(60)
        assert (await h.say("/sessions", new, OWNER)).splitlines() == [
            "  1  Private                                   2 messages  1 min ago",
            "* 2  What is for dinner tonight, and who is …  2 messages  1 min ago",
            "  3  holiday: Where to go?                     2 messages  2 h ago",
        ]
        for reference in ("3", "holiday", old):
            reply = await h.control.run(f"/resume {reference}", OWNER, new)
            assert (reply.session, reply.text) == (old, "continuing holiday: Where to go?")


async def test_nobody_lists_or_resumes_the_conversations_of_somebody_else(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.talked("Mine", "mine")
        assert "no conversation" in await h.say("/sessions", principal=GUEST)
        for reference in ("1", "mine", session):
            with pytest.raises(NotFound, match="there is no "):
                await h.say(f"/resume {reference}", principal=GUEST)


async def test_what_was_for_one_question_is_resumed_by_its_id(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = (await h.sessions.open(OWNER, None, channel="terminal", listed=False)).id
        assert "no conversation" in await h.say("/sessions")
        assert (await h.control.run(f"/resume {session}", OWNER, "")).session == session


async def test_a_conversation_that_is_not_there_is_suggested_and_never_made(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.talked("Where to?", "holiday")
        with pytest.raises(NotFound, match=r"no conversation 'holliday'; did you mean holiday\?"):
            await h.say("/resume holliday")
        with pytest.raises(NotFound, match="/sessions lists"):
            await h.say("/resume 99")
        with pytest.raises(UsageError, match="/resume needs"):
            await h.say("/resume")
        assert len(await h.sessions.list(OWNER)) == 1


async def test_new_begins_a_conversation_with_or_without_a_name(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        first = await h.control.run("/new", OWNER, "")
        named = await h.control.run("/new holiday", OWNER, first.session)
        assert first.session != named.session
        assert (await h.sessions.open(OWNER, "holiday")).id == named.session
        await h.talked("Where to?", "holiday")
        with pytest.raises(UsageError, match="already; /resume holiday"):
            await h.say("/new holiday")


async def test_stop_says_whether_something_ran(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        h.parts.running = "s"
        assert (await h.say("/stop", "s")).startswith("stopping")
        assert (await h.say("/stop", "t")).startswith("nothing ")


async def test_good_and_bad_mark_the_last_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.talked("Why?", "s")
        assert "marked as good" in await h.say("/good well said", session)
        await h.say("/bad", session)
        [mark] = await h.marks.of_session(OWNER, session)
        history = await h.sessions.history(OWNER, session)
        assert (mark.verdict, mark.turn_id) == ("bad", history[-1].turn_id)
        empty = (await h.sessions.open(OWNER, None)).id
        with pytest.raises(NotFound, match="no answer"):
            await h.say("/good", empty)
        with pytest.raises(NotFound):
            await h.say("/good", session, GUEST)


async def test_what_a_conversation_remembers_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = (await h.sessions.open(OWNER, None)).id
        asked = inbound("Why?", session_id=session)
        place = Citation(n=1, title="T", source="/t.md", start=0, end=9)
        took = TurnUsage(prompt_tokens=90, completion_tokens=4)
        await h.turns.finish([asked], outbound(asked, "So [1].", citations=(place,), usage=took))
        assert await h.say("/history 1", session) == "> Why?\n\nSo [1]."
        assert await h.say("/sources", session) == "[1] /t.md\n    The text."
        assert await h.say("/usage", session) == "90 tokens read, 4 written"
        with pytest.raises(UsageError, match="are for `agentd chat`"):
            await h.say("/usage on", session)


async def test_retry_hands_the_last_question_back_to_be_asked_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.talked("Why?")
        reply = await h.control.run("/retry", OWNER, session)
        (question, _) = await h.sessions.history(OWNER, session)
        assert (reply.text, reply.session, reply.ask, reply.replaces) == ("", "", "Why?", question.turn_id)
        edit = await h.control.run("/edit  Why not?", OWNER, session)
        assert (edit.ask, edit.replaces) == ("Why not?", question.turn_id)
        with pytest.raises(UsageError):
            await h.say("/edit", session)
        with pytest.raises(NotFound):
            await h.say("/retry", session, GUEST)


async def test_model_says_which_one_answers_and_chooses_another(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        told = await h.say("/model")
        assert told.startswith("tiny answers: ready\n")
        assert "`agentd model use NAME`" in told and "/model PATH.gguf" in told
        assert (await h.say("/model /models/big.gguf")).startswith("big answers ")
        assert (await h.say("/model none")).startswith("nothing more ")
        assert h.parts.used == [Path("/models/big.gguf"), None]
        with pytest.raises(ModelError, match="no GGUF"):
            await h.say("/model /etc/passwd")
        with pytest.raises(ModelError, match=r"no GGUF.*takes a path.*agentd model use NAME"):
            await h.say("/model /home/me/big")
        with pytest.raises(ModelError) as refused:
            await h.say("/model /models/none.gguf")
        assert "takes a path" not in str(refused.value)
        with pytest.raises(UsageError, match=r"not an absolute path; .*agentd model use NAME"):
            await h.say("/model big.gguf")
        h.without_models()
        with pytest.raises(UsageError, match="cannot change"):
            await h.say("/model /models/big.gguf")


async def test_documents_are_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert (await h.say("/docs")).startswith("2 documents (30 passages); /docs add PATH ")
        with pytest.raises(UsageError, match="agentd ingest PATH"):
            await h.say("/docs add /x")


async def test_status_is_the_whole_screen_for_the_owner_and_a_word_for_others(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert await h.say("/status") == "\n".join(status_lines(STATUS, columns=78))
        assert await h.say("/status", principal=GUEST) == "\n".join(status_lines(PUBLIC, columns=78))


async def test_what_is_for_the_owner_or_a_terminal_is_refused_to_others(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for text in ("/model", "/model none"):
            with pytest.raises(UsageError, match="for the owner"):
                await h.say(text, principal=GUEST)
        with pytest.raises(UsageError, match="of the terminal"):
            await h.say("/quit")
        with pytest.raises(UsageError, match="with a slash"):
            await h.say("hello")
        assert "/model" in await h.say("/help") and "/model" not in await h.say("/help", principal=GUEST)


async def test_a_question_is_taken_back_and_its_branch_gone_back_to(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        session = await h.talked("Why?", "talk")
        assert "\n" not in await h.say("/branches", session)
        await h.talked("How?", "talk")
        assert "How?" in await h.say("/undo", session)

        async def questions() -> list[str]:
            return [line.text for line in await h.sessions.history(OWNER, session) if line.role == "user"]

        assert await questions() == ["Why?"]
        await h.talked("When?", "talk")
        first, second = (await h.say("/branches", session)).splitlines()
        assert first.split()[:3] == ["*", "1", "When?"] and second.split()[:2] == ["2", "How?"]
        assert "How?" in await h.say("/branches 2", session)
        assert await questions() == ["Why?", "How?"]
        for wrong in ("0", "3", "first", "9" * 5000):
            with pytest.raises(UsageError):
                await h.say(f"/branches {wrong}", session)
        for _ in range(2):
            await h.say("/undo", session)
        assert await questions() == []
        with pytest.raises(NotFound):
            await h.say("/undo", session)
