"""Delivery over the unix socket: what counts as taken, who waits, and what becomes history."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentd.config import Settings
from agentd.errors import ConfigError, Stopping, UsageError
from agentd.ports.generation import TextDelta
from agentd.serving import protocol
from agentd.serving.client import Client, Disconnected
from agentd.testing.model import ScriptedModel
from channels.terminal.channel import ACCEPTED_AT_ONCE
from tests.house import DEADLINE, next_answer, next_of, running, status_until

STRANGER = 54321


async def test_an_answer_waits_for_a_client_that_is_away_and_is_delivered_when_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "first")
            await client.post(session, "second")
        async with house.client() as other:
            await status_until(other, "pending", unanswered=0, undelivered=2)
        async with house.client() as client:
            await client.open(session)
            texts = []
            for _ in range(2):
                answer = await next_answer(client)
                texts.append(answer.text)
                await client.ack(answer.id)
            assert texts == ["first ", "second "]
            await status_until(client, "pending", undelivered=0)


async def test_an_answer_without_an_ack_goes_to_the_next_client_with_the_same_id(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            first = await next_answer(client)
        async with house.client() as client:
            await client.open(session)
            second = await next_answer(client)
            assert (second.id, second.text) == (first.id, first.text)
            await client.ack(second.id)
            await status_until(client, "pending", undelivered=0)


async def test_a_client_without_acks_has_an_answer_when_it_is_written(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client(acks=False) as client:
        session = (await client.open()).session
        await client.post(session, "hello")
        await next_answer(client)
        await status_until(client, "pending", undelivered=0)


async def test_an_acknowledgement_that_is_late_holds_no_later_answer(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        session = (await client.open()).session
        for text in ("one", "two", "three"):
            await client.post(session, text)
        answers = [await next_answer(client) for _ in range(3)]
        assert [a.text for a in answers] == ["one ", "two ", "three "]
        await client.ack(*(a.id for a in reversed(answers)))
        await status_until(client, "pending", undelivered=0)


async def _unread(client: Client, count: int) -> None:
    """Wait until the only session has so many unread messages."""
    async with asyncio.timeout(DEADLINE):
        while [session["unread"] for session in (await client.sessions()).as_json()["sessions"]] != [count]:
            pass


async def test_an_answer_that_waits_for_somebody_to_open_its_session_is_unread(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as other:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            await next_answer(client)
            assert (await other.session(session)).unread == 0, "somebody follows it"
        await _unread(other, 1)
        assert (await other.session(session)).unread == 1
        (hit,) = (await other.search("hello")).sessions
        assert hit.unread == 1
        await other.open(session)
        await other.ack((await next_answer(other)).id)
        await _unread(other, 0)


async def test_the_answer_of_a_request_whose_connection_is_gone_is_history_and_unread(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello", reply="request", message_id="m1")
        async with house.client() as client:
            await status_until(client, "pending", unanswered=0, undelivered=0)
            await _unread(client, 1)
            await client.open(session)
            opened = await client.open(session, history=5)
            assert [(line.text, line.unread) for line in opened.history] == [("hello", False), ("hello ", True)]
            await _unread(client, 0)
            again = await client.post(session, "hello", reply="request", message_id="m1")
            assert again.duplicate
            assert (await next_answer(client)).text == "hello "


async def test_stop_keeps_what_was_said(tmp_path: Path) -> None:
    model = ScriptedModel(lambda r: (TextDelta(text=f"word {n} ") for n in range(1_000_000)))
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "talk")
        await next_of(client, protocol.Chunk)
        assert await client.stop(session)
        answer = await next_answer(client)
        assert answer.outcome == "interrupted" and answer.text.startswith("word ")
        assert not await client.stop(session)


async def test_a_message_for_a_busy_session_is_told_its_place(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "one")
        await next_of(client, protocol.Found)
        await client.post(session, "two")
        state = await next_of(client, protocol.State, state="queued")
        assert isinstance(state, protocol.State) and state.position == 1
        model.gate.set()
        assert [(await next_answer(client)).text for _ in range(2)] == ["one ", "two "]


async def test_while_the_daemon_stops_messages_are_refused_and_running_turns_end(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "running")
        await next_of(client, protocol.Found)
        house.stop.set()
        await next_of(client, protocol.Closing)
        with pytest.raises(Stopping, match="stopping"):
            await client.post(session, "too late")
        model.gate.set()
        answer = await next_answer(client)
        assert answer.text == "running "
        await client.ack(answer.id)
        with pytest.raises(Disconnected):
            await next_answer(client)
    assert not list((tmp_path / "s" / "pending").glob("*.event"))


async def test_a_second_request_to_stop_waits_for_nothing(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with running(tmp_path / "s", model) as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "endless")
            await next_of(client, protocol.Found)
            house.stop.set()
            await next_of(client, protocol.Closing)
            house.fast.set()
            with pytest.raises(Disconnected):
                await next_answer(client)
    assert len(list((tmp_path / "s" / "pending").glob("*.event"))) == 1


def allowing(**owner: int) -> Settings:
    return Settings.model_validate({"budgets": {"owner": owner}})


async def test_silent_connections_give_way_to_who_comes_and_are_told_why(tmp_path: Path) -> None:
    settings = allowing(connections=2)
    async with running(tmp_path / "s", settings=settings) as house, house.raw() as (reader, _), house.client() as one:
        await one.open()
        async with house.client() as two:
            await two.open()
            async with asyncio.timeout(DEADLINE):
                told = (await reader.read()).splitlines()[-1]
            assert b'"busy"' in told and b"connect again" in told
            await one.open()


async def test_who_connects_again_and_again_is_refused_and_told_why(tmp_path: Path) -> None:
    async with running(tmp_path / "s", settings=allowing(newcomers=1)) as house, asyncio.timeout(DEADLINE):
        while True:
            async with house.raw() as (reader, _):
                told = json.loads(await reader.readline())
                if told["type"] == "error":
                    break
    assert told["code"] == "busy"


async def test_a_key_that_the_channel_does_not_know_is_a_configuration_error(tmp_path: Path) -> None:
    settings = Settings(channels={"terminal": {"colour": "blue"}})
    with pytest.raises(ConfigError, match="colour"):
        async with running(tmp_path / "s", settings=settings):
            pass


async def test_only_a_daemon_inside_a_command_is_handed_over_and_only_to_its_owner(tmp_path: Path) -> None:
    async with running(tmp_path / "own") as house, house.client() as client:
        with pytest.raises(UsageError, match="not hand over"):
            await client.hand_over()
    async with running(tmp_path / "in", channels=("terminal",)) as house, house.client() as client:
        assert await client.hand_over() == 30.0
        closing = await next_of(client, protocol.Closing)
        assert isinstance(closing, protocol.Closing) and "`agentd run` takes over" in closing.reason
        with pytest.raises(Disconnected):
            await next_answer(client)


async def test_a_member_of_the_group_may_not_take_over(tmp_path: Path) -> None:
    async with running(tmp_path, channels=("terminal",), shared=True) as house, house.user(STRANGER) as client:
        with pytest.raises(UsageError, match="only the owner"):
            await client.hand_over()
        assert not house.stop.is_set()


async def test_a_client_that_is_still_there_at_the_end_is_no_error(tmp_path: Path) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    async with running(tmp_path / "s") as house, house.client() as client:
        await client.open()
        house.stop.set()
        with pytest.raises(Disconnected):
            await next_answer(client)
    assert failures == []


async def test_who_is_accepted_at_the_very_end_leaves_no_open_connection(tmp_path: Path) -> None:
    """asyncio loses what it has accepted if its server is closed before the connection has a transport."""
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    async with running(tmp_path / "s") as house:
        loop.set_debug(True)  # only then does asyncio tell of it
        loop.set_exception_handler(lambda loop, context: failures.append(context))
        house.stop.set()
        with suppress(OSError):
            while True:  # somebody in each round of the loop, until nobody listens
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                    client.setblocking(False)
                    client.connect(str(house.socket))
                    await asyncio.sleep(0)
    loop.set_debug(False)
    assert failures == []


async def test_clients_that_come_all_at_once_leave_the_loop_time_for_others(tmp_path: Path) -> None:
    come: list[int] = []
    async with running(tmp_path / "s") as house:
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        try:
            for one in crowd:
                one.connect(str(house.socket))
                one.setblocking(False)
            async with asyncio.timeout(DEADLINE):
                while sum(come) < len(crowd):
                    await asyncio.sleep(0)
                    come.append(sum(map(_is_greeted, crowd)) - sum(come))
        finally:
            for one in crowd:
                one.close()
    assert max(come) <= 2 * ACCEPTED_AT_ONCE


def _is_greeted(one: socket.socket) -> bool:
    try:
        return bool(one.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
