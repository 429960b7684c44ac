"""What a client asks and is told, over the real daemon and a transport in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentd.ports.generation import Delta, Finish, Reading, Restarted, TextDelta, Usage
from agentd.records import OWNER, Principal
from agentd.serving import connection, protocol
from agentd.serving.budget import FOLLOWED
from agentd.testing.clients import MemoryChannel, MemoryClient
from agentd.testing.model import ScriptedModel
from agentd.turns.prompt import texts_of
from tests.built_channels import in_memory
from tests.house import running

ANN = Principal(kind="user", id="54321")
BEN = Principal(kind="user", id="54322")


@asynccontextmanager
async def house(folder: Path, model: ScriptedModel | None = None) -> AsyncIterator[MemoryChannel]:
    channel = MemoryChannel("terminal")
    async with running(folder / "s", model, in_memory(channel)):
        yield channel


async def opened(client: MemoryClient, session: str | None = None, **members: Any) -> str:
    message = protocol.Open(id="open", session=session, **members)
    return (await client.ask(message, protocol.SessionOpened)).session


async def answered(client: MemoryClient, session: str, text: str, message_id: str = "m") -> protocol.Answer:
    await client.ask(protocol.Post(id=message_id, session=session, text=text), protocol.Accepted)
    return await client.hear(protocol.Answer, in_reply_to=message_id)


async def refused(client: MemoryClient, message: protocol.ClientMessage) -> str:
    """The code of the error that answers it."""
    return (await client.ask(message, protocol.Failure)).code


def diary_requests(session: str) -> list[protocol.ClientMessage]:
    """All that can be done with a session."""
    return [
        protocol.Open(id="1", session=session, history=10),
        protocol.Get(id="2", what="history", session=session),
        protocol.Post(id="3", session=session, text="what did I say?"),
        protocol.Stop(id="4", session=session),
        protocol.Rename(id="5", session=session, name="mine"),
        protocol.Delete(id="6", session=session),
        protocol.Export(id="7", session=session),
        protocol.Export(id="8", session=session, format="json"),
        protocol.Command(id="9", session=session, text="/history"),
        protocol.Get(id="10", what="branches", session=session),
        protocol.Select(id="11", session=session, turn="t"),
        protocol.Post(id="12", session=session, replaces="t"),
    ]


async def test_a_question_is_accepted_told_and_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        session = await opened(client)
        answer = await answered(client, session, "one two")
        assert answer.text == "one two "
        question = await client.hear(protocol.Question)
        assert (question.id, question.text) == ("m", "one two")


async def test_garbage_is_answered_and_too_much_of_it_ends_the_connection(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        await client.say_line(b"garbage\n")
        assert (await client.hear(protocol.Failure)).code == "bad_message"
        await opened(client)
        for _ in range(connection.MAX_GARBAGE):
            await client.say_line(b"{}\n")
        for _ in range(connection.MAX_GARBAGE):
            await client.hear(protocol.Failure, code="bad_message")
        with pytest.raises(ConnectionError):
            await client.hear(protocol.Answer)


async def test_a_client_of_another_version_is_told_so(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        await client.say(protocol.Hello(v=99))
        assert "version 99" in (await client.hear(protocol.Failure, code="usage")).message


async def test_a_session_must_be_opened_before_it_is_posted_to(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        assert (
            await refused(client, protocol.Post(id="m", session="00000000000000aa-00000000", text="x")) == "not_found"
        )


async def test_a_client_that_comes_back_in_mid_answer_gets_what_was_said_so_far(tmp_path: Path) -> None:
    model = ScriptedModel(lambda r: [TextDelta(text="first "), TextDelta(text="second"), Finish(reason="stop")])
    model.gate.clear()
    async with house(tmp_path, model) as channel:
        async with channel.client(OWNER, acks=True) as client:
            session = await opened(client)
            accepted = await client.ask(protocol.Post(id="m", session=session, text="hello"), protocol.Accepted)
            await client.hear(protocol.Found)
        async with channel.client(OWNER, acks=True) as again:
            reply = await again.ask(protocol.Open(id="o", session=session), protocol.SessionOpened)
            assert reply.running == accepted.turn
            state = await again.hear(protocol.State)
            assert (state.state, state.attempt) == ("running", 1)
            model.gate.set()
            assert (await again.hear(protocol.Answer)).text == "first second"


async def test_a_client_resumes_after_the_last_event_that_it_saw(tmp_path: Path) -> None:
    async with house(tmp_path) as channel:
        async with channel.client(OWNER) as client:
            session = await opened(client)
            await answered(client, session, "one two")
            found = await client.hear(protocol.Found)
        async with channel.client(OWNER) as again:
            await opened(again, session, after=found.cursor)
            assert (await again.hear(protocol.State)).state == "done"
        async with channel.client(OWNER) as late:
            await opened(late, session, after=protocol.Cursor(epoch="another life", n=1))
            await late.hear(protocol.Truncated)


async def test_clients_of_a_session_see_each_others_questions_also_who_comes_later(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.client(OWNER) as one, channel.client(OWNER) as two:
        session = await opened(one)
        await opened(two, session)
        accepted = await one.ask(protocol.Post(id="m1", session=session, text="hello"), protocol.Accepted)
        async with channel.client(OWNER) as late:
            await opened(late, session)
            for client in (one, two, late):
                question = await client.hear(protocol.Question)
                assert (question.id, question.turn, question.text) == ("m1", accepted.turn, "hello")
        model.gate.set()
        await one.hear(protocol.Answer)
        async with channel.client(OWNER) as after:
            reply = await after.ask(protocol.Open(id="o", session=session, history=1), protocol.SessionOpened)
            assert [line.role for line in reply.history] == ["assistant"]
            await one.ask(protocol.Post(id="m2", session=session, text="again"), protocol.Accepted)
            assert (await after.hear(protocol.Question)).id == "m2"


async def test_the_reading_of_a_prompt_and_what_an_answer_took_are_told(tmp_path: Path) -> None:
    took = Usage(prompt_tokens=90, cached_tokens=10, completion_tokens=4, read_seconds=2.0, write_seconds=0.5)
    script: list[Delta] = [Reading(done=0, total=80, seconds=2.0), TextDelta(text="read"), took, Finish(reason="stop")]
    model = ScriptedModel(lambda request: script)
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        usage = (await answered(client, await opened(client), "hello")).usage
        assert usage is not None and (usage.prompt_tokens, usage.read_seconds) == (90, 2.0)
        reading = await client.hear(protocol.Reading)
        assert (reading.done, reading.total) == (0, 80)
        report = await client.told(protocol.Get(id="s", what="status"), protocol.StatusReport)
        assert report.usage is not None and report.usage.completion_tokens == 4


async def test_a_model_that_dies_in_mid_answer_is_told_with_the_reason(tmp_path: Path) -> None:
    script: list[Delta] = [
        TextDelta(text="One w"),
        Restarted(reason="small crashed: killed by SIGSEGV"),
        TextDelta(text="Another way."),
        Finish(reason="stop"),
    ]
    model = ScriptedModel(lambda request: script)
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        assert (await answered(client, await opened(client), "hello")).text == "Another way."
        state = await client.hear(protocol.State, attempt=2)
        assert state.detail.endswith(": small crashed: killed by SIGSEGV")


async def test_documents_must_be_named_by_absolute_paths(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        assert await refused(client, protocol.Ingest(id="i", paths=("relative.md",))) == "usage"


async def test_a_client_that_leaves_in_the_middle_of_an_ingest_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(300):
        (folder / f"{n}.md").write_text(f"# Document {n}\n\nText of document {n}.\n")
    async with house(tmp_path) as channel:
        async with channel.client(OWNER) as client:
            await client.say(protocol.Ingest(id="i", paths=(str(folder),)))
            await client.hear(protocol.IngestState)
        async with channel.client(OWNER) as client:
            await client.say(protocol.Ingest(id="i", paths=(str(folder),)))
            state = await client.hear(protocol.IngestState, finished=True)
            assert state.added + state.unchanged == 300


async def test_a_second_principal_has_nothing_of_the_first(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as owner, channel.client(ANN) as ann:
        session = await opened(owner, "diary")
        await answered(owner, session, "Owls are nice.")
        for message in diary_requests(session):
            assert await refused(ann, message) == "not_found", message
        found = await ann.told(protocol.Search(id="s", text="owls"), protocol.SessionsFound)
        listed = await ann.told(protocol.Get(id="l", what="sessions"), protocol.SessionList)
        assert found.sessions == () == listed.sessions
        history = await owner.told(protocol.Get(id="h", what="history", session=session), protocol.History)
        assert [line.text for line in history.messages] == ["Owls are nice.", "Owls are nice. "]


async def test_a_session_that_is_closed_is_followed_no_more_and_leaves_room_for_others(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        for _ in range(FOLLOWED + 5):
            session = await opened(client)
            closed = await client.ask(protocol.Close(id="c", session=session), protocol.Closed)
            assert closed.session == session
        for _ in range(FOLLOWED):
            await opened(client)
        assert await refused(client, protocol.Open(id="one more")) == "busy"


async def test_what_a_closed_session_owes_waits_for_who_opens_it_again(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.client(OWNER, acks=True) as client:
        session = await opened(client)
        await client.ask(protocol.Post(id="m", session=session, text="hello"), protocol.Accepted)
        await client.hear(protocol.Found)
        await client.ask(protocol.Close(id="c", session=session), protocol.Closed)
        model.gate.set()
        await opened(client, session)
        assert (await client.hear(protocol.Answer)).text == "hello "


async def test_a_session_is_renamed_and_opened_by_its_new_name(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        session = await opened(client, "first")
        entry = await client.told(protocol.Rename(id="r", session=session, name="second"), protocol.ListedSession)
        assert (entry.id, entry.name) == (session, "second")
        assert await opened(client, "second") == session
        other = await opened(client, "first")
        assert other != session
        assert await refused(client, protocol.Rename(id="r", session=other, name="second")) == "usage"


async def test_a_deleted_session_is_gone_for_all_its_followers_and_the_same_message_is_no_new_turn(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as one, channel.client(OWNER) as two:
        session = await opened(one, "diary")
        await opened(two, session)
        answer = await answered(one, session, "Owls are nice.")
        entry = await one.told(protocol.Delete(id="d", session=session), protocol.ListedSession)
        assert (entry.name, entry.messages) == ("diary", 2)
        for client in (one, two):
            assert (await client.hear(protocol.Failure, re="", session=session)).code == "not_found"
        assert await refused(two, protocol.Post(id="m", session=session, text="Owls are nice.")) == "not_found"
        assert await refused(one, protocol.Open(id="o", session=session)) == "not_found"
        found = await one.told(protocol.Search(id="s", text="owls"), protocol.SessionsFound)
        assert found.sessions == () and answer.text
        assert await opened(one, "diary") != session


async def test_a_session_with_a_running_turn_is_not_deleted(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        session = await opened(client)
        await client.ask(protocol.Post(id="m", session=session, text="hello"), protocol.Accepted)
        assert await refused(client, protocol.Delete(id="d", session=session)) == "busy"
        model.gate.set()
        assert (await client.hear(protocol.Answer)).text == "hello "


async def test_sessions_are_found_by_words_of_messages_names_and_titles(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        owls, cats = await opened(client, "birds"), await opened(client, "pets")
        await answered(client, owls, "Are ÖWLS nice at night?")
        await answered(client, cats, "And cats?")
        for words, expected in (("nice öwls", owls), ("CATS", cats), ("pets", cats)):
            found = await client.told(protocol.Search(id="s", text=words), protocol.SessionsFound)
            assert [session.id for session in found.sessions] == [expected], words
        (hit,) = (await client.told(protocol.Search(id="s", text="night"), protocol.SessionsFound)).sessions
        assert hit.turn and "ÖWLS nice at night" in hit.excerpt
        both = await client.told(protocol.Search(id="s", text="?"), protocol.SessionsFound)
        assert [session.id for session in both.sessions] == [cats, owls]
        assert await refused(client, protocol.Search(id="s", text=" ")) == "usage"


async def exported(client: MemoryClient, **members: Any) -> tuple[str, str]:
    """Name and text of an export."""
    await client.say(protocol.Export(id="x", **members))
    text = ""
    while not (piece := await client.hear(protocol.Exported)).finished:
        assert piece.n == len(text)
        text += piece.text
    return piece.name, text


async def test_a_session_is_exported_whole_for_people_and_for_programs(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        session = await opened(client, "my diary/1")
        await answered(client, session, "Owls are nice.", "m1")
        await answered(client, session, "x" * 200_000, "m2")
        name, text = await exported(client, session=session)
        assert name == "my-diary-1.md" and text.startswith("# Owls are nice.\n")
        assert text.index("## You, ") < text.index("Owls are nice.\n\n## agentd, ") and "x" * 200_000 in text
        name, text = await exported(client, session=session, format="json")
        told = json.loads(text)
        assert name == "my-diary-1.json" and told["session"]["id"] == session
        assert [line["role"] for line in told["messages"]] == ["user", "assistant"] * 2


async def uploaded(client: MemoryClient, name: str, data: bytes) -> protocol.IngestState:
    await client.say(protocol.Upload(id="up", name=name, data=base64.b64encode(data).decode()))
    return await client.hear(protocol.IngestState, re="up", finished=True)


async def test_everybody_uploads_documents_of_their_own(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(ANN) as ann, channel.client(OWNER) as owner:
        note = b"# Zebra\n\nThe zebrakey is SK-ANN.\n"
        state = await uploaded(ann, "note.md", note)
        assert (state.added, state.chunks, state.skipped) == (1, 1, ())
        assert (await uploaded(ann, "note.md", note)).unchanged == 1
        assert (await uploaded(ann, "note.md", note + b"\nMore.\n")).changed == 1
        report = await ann.told(protocol.Get(id="s", what="status"), protocol.StatusReport)
        assert report.yours is not None and report.yours.documents == 1
        session = await opened(ann)
        await ann.ask(protocol.Post(id="m", session=session, text="What is the zebrakey?"), protocol.Accepted)
        found = await ann.hear(protocol.Found)
        assert [(place.source, place.title) for place in found.citations] == [("upload:note.md", "Zebra")]
        other = await opened(owner, "mine")
        state = await uploaded(owner, "note.md", b"Something else.")
        assert state.added == 1 and other


async def test_documents_are_listed_and_removed_by_those_whose_they_are(tmp_path: Path) -> None:
    async with (
        house(tmp_path) as channel,
        channel.client(ANN) as ann,
        channel.client(BEN) as ben,
        channel.client(OWNER) as owner,
    ):
        await uploaded(ann, "note.md", b"# Zebra\n\nThe zebrakey is SK-ANN.\n")

        async def listed(client: MemoryClient) -> list[tuple[str, str]]:
            report = await client.told(protocol.ListDocuments(id="l"), protocol.DocumentList)
            return [(known.source, known.principal.id) for known in report.documents]

        async def removed(client: MemoryClient, *ids: int) -> tuple[int, ...]:
            remove = protocol.RemoveDocuments(id="r", documents=ids)
            return (await client.told(remove, protocol.DocumentsRemoved)).removed

        assert await listed(ann) == [("upload:note.md", ANN.id)] == await listed(owner)
        assert await listed(ben) == []
        assert await removed(ben, 1) == ()
        assert await removed(ann, 1, 2) == (1,)
        assert await listed(owner) == []
        session = await opened(ann)
        await answered(ann, session, "What is the zebrakey?")
        history = await ann.told(protocol.Get(id="h", what="history", session=session), protocol.History)
        assert [message.citations for message in history.messages] == [(), ()]


async def test_a_cited_place_is_shown_with_what_stands_around_it(tmp_path: Path) -> None:
    text = "# Birds\n\n" + "".join(f"Owl {n} is nice. " for n in range(200))
    start = text.index("Owl 150")
    place = {"source": "upload:birds.md", "start": start, "end": start + 16}
    async with house(tmp_path) as channel, channel.client(ANN) as ann, channel.client(BEN) as ben:
        await uploaded(ann, "birds.md", text.encode())
        shown = await ann.told(protocol.Passage(id="p", **place), protocol.PassageShown)
        assert shown.text == "Owl 150 is nice."
        assert text[start - 1000 : start] == shown.before
        assert text[start + 16 :].startswith(shown.after) and shown.after
        first = await ann.told(protocol.Passage(id="p", **{**place, "start": 0, "end": 7}), protocol.PassageShown)
        assert (first.before, first.text) == ("", "# Birds")
        far = await ann.told(protocol.Passage(id="p", **{**place, "start": 10**9, "end": 0}), protocol.PassageShown)
        assert (far.before, far.text, far.after) == ("", "", "")
        assert await refused(ben, protocol.Passage(id="p", **place)) == "not_found"
        earlier = datetime(2001, 1, 1, tzinfo=UTC)
        assert await refused(ann, protocol.Passage(id="p", since=earlier, **place)) == "not_found"


async def test_what_is_no_document_is_named_with_its_reason(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(ANN) as ann:
        ((name, reason),) = (await uploaded(ann, "picture.png", b"\x89PNG\0")).skipped
        assert name == "picture.png" and reason == "binary, not text"
        for wrong in ("../etc/passwd", " ", "a\x1bb"):
            assert await refused(ann, protocol.Upload(id="u", name=wrong, data="")) == "usage"
        assert await refused(ann, protocol.Upload(id="u", name="a.md", data="*")) == "usage"
        long = base64.b64encode(bytes(protocol.MAX_UPLOAD_BYTES + 1)).decode()
        assert await refused(ann, protocol.Upload(id="u", name="a.md", data=long)) == "usage"


async def shown(client: MemoryClient, session: str) -> list[protocol.HistoryMessage]:
    return list((await client.told(protocol.Get(id="h", what="history", session=session), protocol.History)).messages)


async def test_a_question_is_edited_and_asked_again_and_every_client_hears_of_it(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client, channel.client(OWNER) as other:
        session = await opened(client)
        first = await answered(client, session, "one", "m1")
        await opened(other, session)
        await client.ask(protocol.Post(id="m2", session=session, text="two", replaces=first.turn), protocol.Accepted)
        edit = await client.hear(protocol.Answer, in_reply_to="m2")
        heard = await other.hear(protocol.Question, id="m2")
        assert (heard.replaces, heard.text) == (first.turn, "two")
        await client.ask(protocol.Post(id="m3", session=session, replaces=edit.turn), protocol.Accepted)
        again = await client.hear(protocol.Answer, in_reply_to="m3")
        lines = await shown(client, session)
        assert [(line.turn, line.text) for line in lines] == [(again.turn, "two"), (again.turn, again.text)]
        assert {line.branches for line in lines} == {(first.turn, edit.turn, again.turn)}
        end = await client.told(protocol.Select(id="s", session=session, turn=first.turn), protocol.Selected)
        assert end.turn == first.turn
        assert (await other.hear(protocol.BranchShown)).turn == first.turn
        assert [line.text for line in await shown(other, session)] == ["one", first.text]
        ways = await client.told(protocol.Get(id="b", what="branches", session=session), protocol.BranchList)
        assert [(way.turn, way.question, way.shown) for way in ways.branches] == [
            (again.turn, "two", False),
            (edit.turn, "two", False),
            (first.turn, "one", True),
        ]
        before = protocol.Select(id="s", session=session, turn=first.turn, before=True)
        assert (await client.told(before, protocol.Selected)).turn == ""
        assert await shown(client, session) == []


async def test_a_prompt_holds_what_is_shown_and_nothing_of_another_branch(tmp_path: Path) -> None:
    model = ScriptedModel()
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        session = await opened(client)
        turns = [(await answered(client, session, text, text)).turn for text in ("one", "two", "three")]
        for text, replaces in (("four", turns[1]), ("five", turns[0])):
            await client.ask(protocol.Post(id=text, session=session, text=text, replaces=replaces), protocol.Accepted)
            await client.hear(protocol.Answer, in_reply_to=text)
        told = [[words for words in texts_of(request)] for request in model.requests]
        assert [[word for word in ("one", "two", "three") if any(word in text for text in each)] for each in told] == [
            ["one"],
            ["one", "two"],
            ["one", "two", "three"],
            ["one"],
            [],
        ]
