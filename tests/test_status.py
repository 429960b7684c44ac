"""The status says what runs, what is owed and what is wrong."""

from __future__ import annotations

from pathlib import Path

from agentd import protocol
from agentd.testing.model import ScriptedModel
from tests.house import next_of, running, status_until


async def test_an_idle_daemon_is_well(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        status = await client.get("status")
    assert status["daemon"]["state_dir"] == str(tmp_path / "s")
    assert status["documents"] == {"documents": 0, "chunks": 0}
    assert status["pending"] == {"unanswered": 0, "undelivered": 0, "dead": 0}
    assert status["channels"] == [{"name": "terminal", "state": "connected", "reason": ""}]
    assert status["problems"] == []


async def test_running_and_waiting_turns_are_counted(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with running(tmp_path / "s", model) as house, house.client() as client:
        session = (await client.open()).session
        await client.post(session, "one")
        await next_of(client, protocol.Found)
        await client.post(session, "two")
        await status_until(client, "turns", running=1, waiting=1)
        await status_until(client, "pending", unanswered=2)
        model.gate.set()
        await status_until(client, "pending", unanswered=0, undelivered=2)
