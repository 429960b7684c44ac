"""The composition root: starting, stopping, crashing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentd.clock import SystemClock
from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.daemon.floors import delivery_policy, turn_settings
from agentd.delivery import Policy
from agentd.errors import ConfigError, StateInUse
from agentd.host.lock import StateLock
from agentd.pending import PendingDirectory
from agentd.records import Address
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from tests.builders import SESSION, inbound, outbound
from tests.house import next_answer, running, status_until, without_port


async def test_what_is_configured_reaches_the_parts() -> None:
    settings = Settings()
    assert delivery_policy(settings) == Policy()
    turns = turn_settings(settings)
    assert turns.instructions == settings.model.instructions
    assert 0 < turns.prompt_tokens < settings.model.context - turns.sampling.max_tokens


async def test_a_state_directory_in_use_is_refused(tmp_path: Path) -> None:
    with StateLock(tmp_path / "s"), pytest.raises(StateInUse):
        async with running(tmp_path / "s"):
            pass


async def test_a_daemon_that_runs_is_well(tmp_path: Path) -> None:
    daemon = Daemon(without_port(Settings()), tmp_path / "s", sockets=[(tmp_path / "s" / "agentd.sock", 0o600)])
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(daemon.run(stop=stop, ready=ready.set), name="daemon")
    async with asyncio.timeout(60):
        await ready.wait()
        assert await daemon.is_well()
        stop.set()
        await task


async def test_an_in_process_daemon_leaves_other_channels_alone(tmp_path: Path) -> None:
    other = Address(channel="elsewhere", account="bot", chat="4711")
    async with PendingDirectory(tmp_path / "s") as pending:
        asked, answered = inbound(address=other), inbound(address=other)
        await pending.accept(asked)
        await pending.accept(answered)
        await pending.answer(outbound(answered))
    before = {path.name: path.read_bytes() for path in (tmp_path / "s" / "pending").iterdir()}
    async with running(tmp_path / "s", channels=("terminal",)) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "hello")
        answer = await next_answer(client)
        assert answer.text == "hello "
        await client.ack(answer.id)
        await status_until(client, "pending", unanswered=1, undelivered=1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "s" / "pending").iterdir()} == before


async def test_a_refused_message_whose_file_came_back_is_a_dead_letter_if_it_was_answered_when_it_came_again(
    tmp_path: Path,
) -> None:
    to = Address(channel="terminal", account="local", chat=SESSION)
    refused = inbound(address=to)
    again = inbound(address=to, dedupe_key=refused.dedupe_key)
    async with PendingDirectory(tmp_path) as pending:
        await pending.accept(refused)
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        await TurnRecords(store, SystemClock()).finish([again], outbound(again))
    async with running(tmp_path) as house, house.client() as client:
        await status_until(client, "pending", unanswered=0, dead=1)
    async with PendingDirectory(tmp_path) as pending:
        assert [letter.id for letter in await pending.dead()] == [refused.id]


async def test_a_channel_that_cannot_be_built_stops_the_start(tmp_path: Path) -> None:
    channels: dict[str, dict[str, Any]] = {"mine": {"build": "no.such.package:build"}}
    with pytest.raises(ConfigError, match=r"channels\.mine\.build"):
        async with running(tmp_path / "s", settings=Settings(channels=channels)):
            pass
