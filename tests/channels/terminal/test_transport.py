"""What carries one client of the unix socket: well-behaved, garbage, floods and silence."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import NotFound, UsageError
from agentd.ports.generation import Delta, Finish, Reading, Restarted, TextDelta, Usage
from agentd.serving import connection as module
from agentd.serving import outbox, protocol
from agentd.serving.budget import OWNER
from agentd.testing.model import ScriptedModel
from tests.house import next_answer, next_of, running, status_until


async def lines(reader: asyncio.StreamReader, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [json.loads(await reader.readuntil(b"\n")) for _ in range(count)]


async def test_garbage_is_answered_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b'garbage\n\xff\xfe\n{"type":"dance"}\n{"type":"get","id":"1","what":"status"}\n')
        kinds = [message["type"] for message in await lines(reader, 5)]
        assert kinds == ["welcome", "error", "error", "error", "told"]


async def test_nothing_but_garbage_ends_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b"garbage\n" * 100)
        async with asyncio.timeout(10):
            data = await reader.read()
        assert data.count(b"bad_message") == module.MAX_GARBAGE
        async with house.client() as other:
            await other.open()


async def test_garbage_between_good_messages_ends_the_connection_too(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b'garbage\n{"type":"hello"}\n' * 1000)
        async with asyncio.timeout(10):
            data = await reader.read()
        assert data.count(b"bad_message") == module.ALL_GARBAGE


async def test_who_never_reads_has_few_requests_worked_on_and_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 1.0)
    async with running(tmp_path / "s") as house, house.raw() as (_, writer), house.client() as other:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        commands = b"".join(b'{"type":"command","id":"%d","text":"/help"}\n' % n for n in range(20_000))
        writer.write(commands)
        most = 0
        async with asyncio.timeout(30):
            while not writer.transport.is_closing():
                await other.sessions()
                most = max(most, sum("command for a client" in task.get_name() for task in asyncio.all_tasks()))
                with suppress(ConnectionError):
                    writer.write(b'{"type":"hello"}\n')
        assert 1 <= most <= OWNER.requests


async def test_a_flood_of_small_messages_leaves_the_others_their_turn(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (_, writer), house.client() as other:
        hellos = b'{"type":"hello"}\n' * 100_000
        writer.write(hellos)
        for _ in range(3):
            await other.sessions()
        assert writer.transport.get_write_buffer_size() > 0, "it was answered in the middle of the flood"


async def test_a_frame_that_is_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b"x" * (protocol.MAX_FRAME_BYTES + 100_000))
        welcome, refusal = await lines(reader, 2)
        assert (welcome["type"], refusal["code"]) == ("welcome", "too_large")
        assert "ingest" in refusal["message"]


async def test_a_client_of_another_version_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.raw() as (reader, writer):
        writer.write(b'{"type":"hello","v":99}\n')
        _, refusal = await lines(reader, 2)
        assert "version 99" in refusal["message"]


async def test_a_message_of_one_mebibyte_is_answered_and_a_longer_one_refused(tmp_path: Path) -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="read"), Finish(reason="stop")])
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "x" * protocol.MAX_TEXT_BYTES)
        assert (await next_answer(client)).text == "read"
        with pytest.raises(UsageError, match="1,048,576"):
            await client.post(session, "x" * (protocol.MAX_TEXT_BYTES + 1))


async def test_a_session_must_be_opened_before_it_is_posted_to(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        with pytest.raises(NotFound, match="open"):
            await client.post("00000000000000aa-00000000", "hello")


async def test_a_client_that_never_reads_is_cut_off_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.3)
    model = ScriptedModel(lambda request: [TextDelta(text="x" * 4_000_000), Finish(reason="stop")])
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        reader, writer = await asyncio.open_unix_connection(str(house.socket), limit=1024)
        writer.write(protocol.encode(protocol.Hello()))
        writer.write(protocol.encode(protocol.Open(id="o", session=session)))
        await client.post(session, "hello")
        answer = await next_answer(client)
        await client.ack(answer.id)
        await status_until(client, "pending", undelivered=0)
        async with asyncio.timeout(20):
            while sum(task.get_name() == "client of the terminal channel" for task in asyncio.all_tasks()) > 1:
                await client.sessions()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError)):
                while True:
                    await reader.readexactly(65536)
        writer.transport.abort()


async def test_a_client_that_comes_back_in_mid_answer_gets_what_was_said_so_far(tmp_path: Path) -> None:
    said = asyncio.Event()
    model = ScriptedModel(lambda r: [TextDelta(text="first "), TextDelta(text="second"), Finish(reason="stop")])
    async with running(tmp_path / "s", model) as house:
        async with house.client() as client:
            session = (await client.open()).session
            model.gate.clear()
            accepted = await client.post(session, "hello")
            await next_of(client, protocol.Found)
            said.set()
        async with house.client() as again:
            opened = await again.open(session)
            assert opened.running == accepted.turn
            state = await next_of(again, protocol.State)
            assert isinstance(state, protocol.State) and (state.state, state.attempt) == ("running", 1)
            model.gate.set()
            answer = await next_answer(again)
            assert answer.text == "first second"


async def test_a_client_resumes_after_the_last_event_that_it_saw(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "one two")
            found = await next_of(client, protocol.Found)
            assert isinstance(found, protocol.Found)
            await client.ack((await next_answer(client)).id)
        async with house.client() as again:
            await again.open(session, after=found.cursor)
            state = await next_of(again, protocol.State)
            assert isinstance(state, protocol.State) and state.state == "done"
        async with house.client() as late:
            await late.open(session, after=protocol.Cursor(epoch="another life", n=1))
            await next_of(late, protocol.Truncated)


async def test_several_clients_of_a_session_see_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as one, house.client() as two:
        session = (await one.open()).session
        await two.open(session)
        await one.post(session, "hello")
        first, second = await next_answer(one), await next_answer(two)
        assert first == second


async def test_clients_of_a_session_see_each_others_questions_also_who_comes_later(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as one, house.client() as two:
        assert isinstance(house.model, ScriptedModel)
        house.model.gate.clear()
        session = (await one.open()).session
        await two.open(session)
        accepted = await one.post(session, "hello", message_id="m1")
        async with house.client() as late:
            await late.open(session)
            for client in (one, two, late):
                question = await next_of(client, protocol.Question)
                assert isinstance(question, protocol.Question)
                assert (question.id, question.turn, question.text) == ("m1", accepted.turn, "hello")
        house.model.gate.set()
        await one.ack((await next_answer(one)).id)
        async with house.client() as after:
            opened = await after.open(session, history=1)
            assert [line.role for line in opened.history] == ["assistant"]
            await one.post(session, "again", message_id="m2")
            question = await next_of(after, protocol.Question)
            assert isinstance(question, protocol.Question) and question.id == "m2"


async def test_the_reading_of_a_prompt_and_what_an_answer_took_are_told(tmp_path: Path) -> None:
    took = Usage(prompt_tokens=90, cached_tokens=10, completion_tokens=4, read_seconds=2.0, write_seconds=0.5)
    script: list[Delta] = [Reading(done=0, total=80, seconds=2.0), TextDelta(text="read"), took, Finish(reason="stop")]
    async with running(tmp_path / "s", ScriptedModel(lambda request: script)) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "hello")
        reading = await next_of(client, protocol.Reading)
        assert isinstance(reading, protocol.Reading) and (reading.done, reading.total) == (0, 80)
        usage = (await next_answer(client)).usage
        assert usage is not None and (usage.prompt_tokens, usage.read_seconds) == (90, 2.0)
        assert (await client.status()).as_json()["usage"]["completion_tokens"] == 4


async def test_a_model_that_dies_in_mid_answer_is_told_with_the_reason(tmp_path: Path) -> None:
    script: list[Delta] = [
        TextDelta(text="One w"),
        Restarted(reason="small crashed: killed by SIGSEGV"),
        TextDelta(text="Another way."),
        Finish(reason="stop"),
    ]
    async with running(tmp_path / "s", ScriptedModel(lambda request: script)) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "hello")
        state = await next_of(client, protocol.State, attempt=2)
        assert isinstance(state, protocol.State)
        assert state.detail == "the answer begins again: small crashed: killed by SIGSEGV"
        assert (await next_answer(client)).text == "Another way."


async def test_documents_must_be_named_by_absolute_paths(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        with pytest.raises(UsageError, match="absolute"):
            async for _ in client.ingest([Path("relative.md")]):
                pass


async def test_a_client_that_leaves_in_the_middle_of_an_ingest_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(300):
        (folder / f"{n}.md").write_text(f"# Document {n}\n\nText of document {n}.\n")
    async with running(tmp_path / "s") as house:
        async with house.client() as client:
            async for _ in client.ingest([folder]):
                break
        async with house.client() as client:
            states = [state async for state in client.ingest([folder])]
            assert states[-1].finished
            assert states[-1].added + states[-1].unchanged == 300
