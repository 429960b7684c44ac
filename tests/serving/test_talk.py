"""A client over the WebSocket of the gateway, and a talk that outlives its connections."""

from __future__ import annotations

import asyncio
import re
import sys
from functools import partial
from pathlib import Path

import pytest

from agentd.errors import Unauthorized, Unreachable, UsageError
from agentd.serving import protocol
from agentd.serving.carriers import socket_address
from agentd.serving.client import Client
from agentd.serving.talk import Talk
from agentd.testing.model import ScriptedModel
from tests.channels.websocket.web import web
from tests.house import DEADLINE, next_answer, next_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def test_a_token_is_sent_only_where_nobody_on_the_way_can_read_it() -> None:
    assert socket_address("http://127.0.0.1:24368") == "ws://127.0.0.1:24368/ws"
    assert socket_address("https://agentd.example/") == "wss://agentd.example/ws"
    assert socket_address("wss://agentd.example/behind/ws") == "wss://agentd.example/behind/ws"
    for address in ("http://agentd.example", "ws://10.0.0.1/ws", "agentd.example", "ftp://127.0.0.1"):
        with pytest.raises(UsageError):
            socket_address(address)


async def test_a_client_with_a_token_asks_and_is_answered(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway:
        async with await Client.connect_web(gateway.address, await gateway.token()) as client:
            session = (await client.open("diary")).session
            await client.post(session, "one two")
            assert (await next_answer(client)).text == "one two "
        with pytest.raises(Unauthorized):
            await Client.connect_web(gateway.address, "agentd_unknown")
    with pytest.raises(Unreachable):
        await Client.connect_web(gateway.address, "agentd_unknown")


async def test_a_question_is_asked_once_and_answered_although_the_connection_is_lost(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, gateway.house.client() as terminal:
        connect = partial(Client.connect_web, gateway.address, await gateway.token())
        async with Talk(connect, "diary") as talk:
            assert talk.session is not None
            await terminal.open(talk.session)
            asking = asyncio.create_task(talk.ask("one two"), name="asking")
            await next_of(terminal, protocol.Question)
            assert talk._client is not None
            talk._client._carrier.abort()
            model.gate.set()
            async with asyncio.timeout(DEADLINE):
                assert (await asking).text == "one two "
            assert [m.role for m in (await terminal.history(talk.session)).messages] == ["user", "assistant"]


async def test_the_program_in_the_documentation_runs(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    async with web(tmp_path) as gateway:
        (tmp_path / "token").write_text(await gateway.token() + "\n")
        (tmp_path / "ask.py").write_text(program.replace("http://127.0.0.1:24368", gateway.address))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "ask.py", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert said.decode() == "What is in my documents? \n"
