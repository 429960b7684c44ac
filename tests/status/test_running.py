"""The status says what runs, what is owed and what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agentd.pending import PendingDirectory
from agentd.ports.models import Pace
from agentd.records import Address
from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from tests.builders import inbound, outbound
from tests.house import next_answer, next_of, running, status_until

NOTHING_OWED = {
    "waiting": 0,
    "in_flight": 0,
    "unconfirmed": 0,
    "deferred": 0,
    "oldest_age": None,
    "breaker_open": False,
    "last_delivered": None,
    "last_failed": None,
    "last_error": "",
}


async def test_an_idle_daemon_is_well(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        status = (await client.status()).as_json()
    assert status["daemon"]["state_dir"] == str(tmp_path / "s")
    assert status["documents"] == {"documents": 0, "chunks": 0}
    assert status["pending"] == {
        "accepts": True,
        "unanswered": 0,
        "undelivered": 0,
        "deferred": 0,
        "oldest_age": None,
        "dead": 0,
        "corrupt": 0,
        "dead_by_reason": {},
    }
    assert status["channels"] == [
        {"name": "terminal", "state": "connected", "reason": "", "address": "", "delivery": NOTHING_OWED}
    ]
    assert status["problems"] == []


async def test_the_status_is_told_although_the_state_directory_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house, house.client() as client:
        (tmp_path / "s").rename(tmp_path / "elsewhere")
        status = (await client.status()).as_json()
        (tmp_path / "elsewhere").rename(tmp_path / "s")
        again = (await client.status()).as_json()
    assert not status["pending"]["accepts"]
    assert status["problems"]
    assert (status["daemon"]["free_mb"], status["pending"]["dead"], status["pending"]["corrupt"]) == (0, 0, 0)
    assert again["daemon"]["free_mb"] > 0


async def test_how_fast_the_model_is_is_told(tmp_path: Path) -> None:
    model = ScriptedModel(pace=Pace(read=97.5, write=0.0))
    async with running(tmp_path / "s", model) as house, house.client() as client:
        status = (await client.status()).as_json()
    assert (status["model"]["read_tps"], status["model"]["write_tps"]) == (97.5, None)


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


async def test_a_channel_tells_what_waits_what_went_and_what_failed(tmp_path: Path) -> None:
    async with running(tmp_path / "s", ScriptedModel()) as house:
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            await client.ack((await next_answer(client)).id)
            await status_until(client, "pending", undelivered=0)
            (channel,) = (await client.status()).as_json()["channels"]
            delivered = datetime.fromisoformat(channel["delivery"]["last_delivered"])
            assert 0 <= (datetime.now(UTC) - delivered).total_seconds() < 60
            await client.post(session, "and nobody takes the answer")
        async with house.client() as other:
            await status_until(other, "pending", undelivered=1, deferred=1)
            status = (await other.status()).as_json()
            assert 0 <= status["pending"]["oldest_age"] < 60
            figures = status["channels"][0]["delivery"]
            assert (figures["waiting"], figures["deferred"]) == (1, 1) and figures["oldest_age"] < 60
            assert figures["last_error"] and figures["last_failed"]


async def test_dead_letters_are_counted_by_their_reason_and_are_a_problem(tmp_path: Path) -> None:
    reasons = (
        "given up after 12 attempts in 25 h: no route",
        "given up after 13 attempts in 30 h: no route",
        "not delivered within 7 d (3 attempts)",
        "Forbidden: bot was blocked by the user",
    )
    async with PendingDirectory(tmp_path / "s") as pending:
        for reason in reasons:
            asked = inbound(address=Address(channel="gone", chat="1"))
            await pending.accept(asked)
            await pending.answer(outbound(asked))
            await pending.bury(asked.id, reason)
    async with running(tmp_path / "s") as house, house.client() as client:
        status = (await client.status()).as_json()
    assert status["pending"]["dead"] == 4
    assert status["pending"]["dead_by_reason"] == {
        "given up: no route": 2,
        "not delivered in time": 1,
        "Forbidden: bot was blocked by the user": 1,
    }
    (problem,) = status["problems"]
    assert problem.startswith("4 dead letters ") and "`agentd delivery list`" in problem
