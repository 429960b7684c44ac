"""The scripted server behaves to a client as the daemon does, and no further than it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentd.serving import protocol
from agentd.serving.client import Client, Disconnected
from agentd.testing.server import ScriptedServer


async def test_a_turn_as_it_is_scripted(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, await Client.connect(tmp_path / "s") as client:
        opened = await client.open("holiday")
        assert (opened.name, opened.history) == ("holiday", ())
        accepted = await client.post(opened.session, "Why?", message_id="m")
        assert (await client.post(opened.session, "Why?", message_id="m")).duplicate
        turn = await server.next_turn()
        await turn.say("Be")
        await turn.say("cause")
        said = await turn.answer()
        heard: list[protocol.ServerMessage] = []
        async for message in client.messages():
            heard.append(message)
            if isinstance(message, protocol.Answer):
                await client.ack(message.id)
                break
        assert [type(m).__name__ for m in heard] == ["State", "Chunk", "Chunk", "State", "Answer"]
        assert [m.n for m in heard if isinstance(m, protocol.Chunk)] == [0, 2]
        assert said.text == "Because" and accepted.turn == turn.id
        await server.acknowledged(said)
        assert [line.text for line in (await client.open("holiday", history=5)).history] == ["Why?", "Because"]


async def test_what_nobody_acknowledged_comes_again_in_the_next_life(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server:
        async with await Client.connect(tmp_path / "s") as client:
            session = (await client.open(None)).session
            await client.post(session, "Why?")
            await (await server.next_turn()).answer("So.")
            await server.die()
            with pytest.raises(Disconnected):
                await client.open(session)
        await server.start()
        async with await Client.connect(tmp_path / "s") as client:
            await client.open(session, after=protocol.Cursor(epoch="life 1", n=1))
            messages = client.messages()
            assert isinstance(await anext(messages), protocol.Truncated)
            repeated = await anext(messages)
            assert isinstance(repeated, protocol.Answer) and repeated.repeat


async def test_a_message_for_a_busy_session_waits_and_a_stop_is_told_to_the_test(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, await Client.connect(tmp_path / "s") as client:
        session = (await client.open(None)).session
        assert not await client.stop(session)
        await client.post(session, "One?")
        turn = await server.next_turn()
        await turn.start()
        await client.post(session, "Two?")
        assert len((await client.open(session)).waiting) == 1
        assert await client.stop(session)
        async with asyncio.timeout(60):
            await turn.stopped.wait()


async def test_commands_status_and_documents_are_answered(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, await Client.connect(tmp_path / "s") as client:
        server.replies["/new"] = protocol.CommandReply(text="a new one", session="id")
        assert await client.command("/new") == protocol.CommandReply(text="a new one", session="id")
        assert await client.command("/stop") == protocol.CommandReply(text="done: /stop")
        assert (await client.status()).as_json()["documents"] == {"documents": 1, "chunks": 1}
        states = [state async for state in client.ingest([tmp_path])]
        assert states[-1].finished and states[-1].added == 1
