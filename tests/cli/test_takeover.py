"""`agentd run` gets the state directory from a chat, and from nobody else; what runs there is answered once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agentd.cli import takeover as module
from agentd.cli.takeover import Takeover
from agentd.errors import StateInUse
from agentd.host.lock import StateLock
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.model import ScriptedModel
from tests.cli.test_chat import notes, ready
from tests.daemons import DaemonProcess
from tests.house import next_answer, next_of, running, status_until
from tests.terminal import chat


def refusal(state: Path) -> StateInUse:
    with pytest.raises(StateInUse) as caught, StateLock(state):
        pass
    return caught.value


async def test_a_daemon_inside_a_command_hands_over_and_the_running_turn_ends_first(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with running(tmp_path / "s", model, channels=("terminal",)) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "running")
        await next_of(client, protocol.Found)
        await client.post(session, "waiting", message_id="m1")
        takeover = Takeover(tmp_path / "s", asyncio.Event())
        await takeover.wait(refusal(tmp_path / "s"))
        closing = await next_of(client, protocol.Closing)
        assert isinstance(closing, protocol.Closing) and "agentd run" in closing.reason
        model.gate.set()
        answer = await next_answer(client)
        assert answer.text == "running "
        await client.ack(answer.id)
    async with running(tmp_path / "s") as house, house.client() as client:
        await client.open(session)
        again = await client.post(session, "waiting", message_id="m1")
        assert again.duplicate
        answer = await next_answer(client)
        assert answer.text == "waiting "
        await client.ack(answer.id)
        await status_until(client, "pending", unanswered=0, undelivered=0)
        history = (await client.history(session)).as_json()["messages"]
        assert [line["text"] for line in history] == ["running", "running ", "waiting", "waiting "]


async def test_a_daemon_of_its_own_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        refused = refusal(tmp_path / "s")
        with pytest.raises(StateInUse) as caught:
            await Takeover(tmp_path / "s", asyncio.Event()).wait(refused)
        assert caught.value is refused
        assert (await client.open()).session


async def test_a_holder_that_does_not_answer_is_waited_for_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with StateLock(tmp_path / "s"):
        refused = refusal(tmp_path / "s")
        takeover, began = Takeover(tmp_path / "s", asyncio.Event()), time.monotonic()
        with pytest.raises(StateInUse):
            while True:
                await takeover.wait(refused)
        assert time.monotonic() - began >= 0.2


async def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    with StateLock(tmp_path / "s"):
        await Takeover(tmp_path / "s", stop).wait(refusal(tmp_path / "s"))


async def test_a_chat_goes_on_as_a_client_of_the_daemon_that_was_started(tmp_path: Path) -> None:
    async with chat(tmp_path, columns=100) as terminal:
        await ready(terminal)
        terminal.enter(f"/docs add {notes(tmp_path)}")
        await terminal.shows("1 added")
        async with DaemonProcess(tmp_path / "state") as daemon:
            await terminal.shows("`agentd run` takes over")
            await terminal.shows("connected again")
            terminal.enter("When does the ferry to Hydra leave?")
            await terminal.shows("14:25")
            async with await Client.connect(tmp_path / "state" / "agentd.sock") as client:
                assert client.welcome.pid == daemon.process.pid
                async with asyncio.timeout(60):  # the text is on the screen before the turn has ended
                    while not (sessions := (await client.sessions()).sessions):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert [session.messages for session in sessions] == [2]
            terminal.type("\x04")
            assert await terminal.ends() == 0
