"""The link: messages offered until they are accepted, and a session that is followed over lost connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agentd.cli.repl import link as link_module
from agentd.cli.repl.link import Link
from agentd.cli.repl.transcript import HERE, Transcript
from agentd.delivery.backoff import Backoff
from agentd.errors import Busy, ConfigError, Unreachable
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.model import ScriptedModel
from agentd.testing.server import ScriptedServer
from tests.house import running, status_until
from tests.recording import RecordingDisplay


@asynccontextmanager
async def following(
    server: ScriptedServer, path: Path, *, fault: Exception | None = None
) -> AsyncIterator[tuple[Link, RecordingDisplay, asyncio.Task[None]]]:
    """A link that runs; `fault` is raised by every connection but the first."""
    display, faults = RecordingDisplay(), iter([None])

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        if fault is not None and next(faults, fault) is fault:
            raise fault
        async with await Client.connect(path, name="test") as client:
            yield client

    def connecting() -> AbstractAsyncContextManager[Client]:
        return connect()

    link = Link(Transcript(display), display, connecting)
    await link.connect()
    await link.follow(None)
    task = asyncio.create_task(link.run(), name="link")
    try:
        yield link, display, task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await link.close()


async def test_a_message_goes_out_and_its_answer_comes_in_and_is_acknowledged(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, display, _):
        link.post("Hello?")
        answer = await (await server.next_turn()).answer("Hello.")
        await display.shows("answer: Hello.")
        await server.acknowledged(answer)


async def test_messages_typed_while_the_daemon_is_away_are_offered_in_order_when_it_is_back(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, display, _):
        await server.die()
        await display.shows("note: the connection to agentd was lost; reconnecting…")
        link.post("one")
        link.post("two")
        with pytest.raises(Unreachable):
            await link.stop()
        await server.start()
        first, second = await server.next_turn(), await server.next_turn()
        assert (first.text, second.text) == ("one", "two")
        await display.shows("note: connected again")


async def test_the_same_id_is_offered_until_the_word_comes_that_it_was_accepted(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, _, _):
        server.accepting = False
        link.post("Hello?")
        for life in range(1, 4):
            await server.received(life)
            await server.die()
            server.accepting = life == 3
            await server.start()
        turn = await server.next_turn()
        assert [post.id for post in server.posts] == [turn.post.id] * 4


async def test_a_life_of_the_daemon_is_resumed_where_it_was_left(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, display, _):
        link.post("Hello?")
        turn = await server.next_turn()
        await turn.say("Half of ")
        await display.shows("draft: Half of")
        await server.die()
        await server.start()
        await display.shows("note: connected again")
        await turn.start()
        await turn.answer("All of it.")
        await display.shows("answer: All of it.")
        assert display.shown.count("answer: All of it.") == 1


async def test_an_answer_in_another_session_is_told_and_acknowledged(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, display, _):
        link.post("Slow?")
        slow = await server.next_turn()
        await link.follow("other")
        answer = await slow.answer("At last.")
        await server.acknowledged(answer)
        assert [line for line in display.shown if line.startswith("note: ") and slow.post.session in line]


async def test_too_many_waiting_messages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_OFFERED", 2)
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, _, _):
        server.accepting = False
        link.post("one")
        link.post("two")
        with pytest.raises(Busy, match="not sent"):
            link.post("three")


async def test_a_wrong_configuration_ends_the_link_instead_of_being_tried_again(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server:
        fault = ConfigError("model.path is wrong")
        async with following(server, tmp_path / "s", fault=fault) as (_, _, task):
            await server.die()
            with pytest.raises(ConfigError, match=r"model\.path is wrong"):
                await task
            await server.start()


async def test_what_keeps_it_from_reconnecting_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "WAITS", Backoff(first=0.01, longest=0.01))
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (_, display, _):
        await server.die()
        await display.until(lambda: any(line.startswith("error: no daemon answers") for line in display.shown))
        await server.start()
        await display.shows("note: connected again")
        assert sum(line.startswith("error:") for line in display.shown) == 1


async def test_the_model_of_the_daemon_that_is_back_is_told(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (_, display, _):
        server.status = {"model": {"name": "big\x1b[31m"}, "daemon": {"in_process": True, "pid": 1}}
        await server.die()
        await server.start()
        await display.until(
            lambda: any("again: a chat or another command runs agentd" in line for line in display.shown)
        )
        assert display.shown[-1].endswith("\nbig answers ()")


async def test_a_chat_that_runs_the_daemon_itself_says_so(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (_, display, _):
        server.status = {"model": {"name": "small"}, "daemon": {"in_process": True, "pid": os.getpid()}}
        await server.die()
        await server.start()
        await display.until(lambda: any("again: no daemon runs, so this chat runs" in line for line in display.shown))
        assert display.shown[-1].endswith("\nsmall answers ()")


async def test_what_a_stopping_daemon_does_not_take_is_offered_to_the_next(tmp_path: Path) -> None:
    async with AsyncExitStack() as first:
        house = await first.enter_async_context(running(tmp_path / "s"))
        display = RecordingDisplay()

        @asynccontextmanager
        async def connect() -> AsyncIterator[Client]:
            async with await Client.connect(house.socket, name="test") as client:
                yield client

        link = Link(Transcript(display), display, connect)
        await link.connect()
        await link.follow(None)
        assert isinstance(house.model, ScriptedModel)
        house.model.gate.clear()
        link.post("running")
        task = asyncio.create_task(link.run(), name="link")
        await display.until(lambda: "asked: running" in display.shown)
        async with house.client() as other:
            await status_until(other, "turns", running=1)
        house.stop.set()
        await display.until(lambda: any("agentd stops" in line for line in display.shown))
        link.post("late")
        house.model.gate.set()
        await display.shows("answer: running ")
    async with running(tmp_path / "s"):
        await display.shows("answer: late ")
        assert not any(line.startswith("error: agentd is stopping") for line in display.shown)
        task.cancel()
        await asyncio.wait([task])
        await link.close()


async def test_a_question_takes_the_place_of_another_and_another_branch_is_shown(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "s") as server, following(server, tmp_path / "s") as (link, display, _):
        link.post("Hello again?", replaces="t1")
        turn = await server.next_turn()
        assert (turn.post.text, turn.post.replaces) == ("Hello again?", "t1")
        await turn.answer("Hello.")
        await display.shows("answer: Hello.")
        await server.send(link.session, protocol.BranchShown(session=link.session, turn="t1"))
        await display.shows(f"note: {HERE}")
        await display.until(lambda: display.shown[-1] == "remembered assistant: Hello.")
