"""The whole daemon, killed with SIGKILL at each point of a turn: one answer, never two turns, nothing left behind."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from agentd.host.lock import StateLock
from agentd.serving import protocol
from agentd.serving.client import Client
from tests.daemons import DaemonProcess, processes_of
from tests.house import next_answer, next_of, status_until

QUESTION = "Does this survive?"


class Lives:
    """Consecutive daemons on one state directory, and how often the model was asked in all of them."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self._count = folder / "count"

    def daemon(self, dying_at: str = "") -> DaemonProcess:
        environment = {"DYING_COUNT": str(self._count), "DYING_AT": dying_at}
        return DaemonProcess(self.state_dir, program="tests.dying_daemon", environment=environment)

    @property
    def inferences(self) -> int:
        return len(self._count.read_text().splitlines())

    def nothing_is_left(self) -> None:
        assert processes_of(self.state_dir) == []
        with StateLock(self.state_dir):
            pass

    async def answered_once(self, session: str) -> protocol.Answer:
        """After a restart, a client of the session gets one answer, and a third life owes nothing."""
        async with self.daemon() as daemon:
            async with daemon.client() as client:
                await client.open(session)
                answer = await next_answer(client)
                await client.ack(answer.id)
                again = await client.post(session, QUESTION, message_id="m1")
                assert again.duplicate and again.turn == answer.turn
                repeated = await next_answer(client)
                assert (repeated.id, repeated.text) == (answer.id, answer.text)
            assert await daemon.end() == 0
        async with self.daemon() as daemon, daemon.client() as client:
            opened = await client.open(session, history=10)
            assert [line.role for line in opened.history] == ["user", "assistant"]
            pending = (await client.status()).as_json()["pending"]
            assert (pending["unanswered"], pending["undelivered"], pending["dead"]) == (0, 0, 0)
        assert answer.text == f"You said: {QUESTION}"
        self.nothing_is_left()
        return answer


async def ask(client: Client) -> tuple[str, protocol.Accepted]:
    opened = await client.open(None)
    return opened.session, await client.post(opened.session, QUESTION, message_id="m1")


async def test_killed_while_the_turn_runs(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon(dying_at="turn") as daemon:
        async with daemon.client() as client:
            session, accepted = await ask(client)
            await next_of(client, protocol.Chunk, turn=accepted.turn)
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
        lives.nothing_is_left()
    answer = await lives.answered_once(session)
    assert answer.turn == accepted.turn
    assert lives.inferences == 2


async def test_killed_after_the_answer_is_durable_and_before_it_is_delivered(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon() as daemon:
        async with daemon.client() as client:
            session, accepted = await ask(client)
        async with daemon.client() as watcher:
            await status_until(watcher, "pending", undelivered=1)
        assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
        lives.nothing_is_left()
    answer = await lives.answered_once(session)
    assert answer.turn == accepted.turn
    assert lives.inferences == 1


async def test_killed_between_delivery_and_ack(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon() as daemon:
        async with daemon.client() as client:
            session, _ = await ask(client)
            delivered = await next_answer(client)
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
        lives.nothing_is_left()
    answer = await lives.answered_once(session)
    assert answer.id == delivered.id
    assert answer.repeat and not delivered.repeat
    assert lives.inferences == 1


async def test_killed_after_the_transaction_and_before_the_answer_is_written(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon(dying_at="answer") as daemon:
        async with daemon.client() as client:
            session, accepted = await ask(client)
            assert await daemon.wait() == -signal.SIGKILL
        lives.nothing_is_left()
    stored = stored_answer(lives.state_dir, accepted.turn)
    answer = await lives.answered_once(session)
    assert f'"id":"{answer.id}"' in stored
    assert stored_answer(lives.state_dir, accepted.turn) == stored
    assert lives.inferences == 1


@pytest.mark.parametrize("dying_at", ["turn", "answer"])
async def test_killed_while_an_edit_is_answered_the_branches_are_the_same(tmp_path: Path, dying_at: str) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon() as daemon:
        async with daemon.client() as client:
            session, accepted = await ask(client)
            await client.ack((await next_answer(client)).id)
        assert await daemon.end() == 0
    async with lives.daemon(dying_at=dying_at) as daemon, daemon.client() as client:
        await client.open(session)
        edit = await client.post(session, "And this?", message_id="m2", replaces=accepted.turn)
        if dying_at == "turn":
            await next_of(client, protocol.Chunk, turn=edit.turn)
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
        else:
            assert await daemon.wait() == -signal.SIGKILL
    async with lives.daemon() as daemon, daemon.client() as client:
        await client.open(session)
        answer = await next_answer(client)
        await client.ack(answer.id)
        again = await client.post(session, "And this?", message_id="m2", replaces=accepted.turn)
        assert again.duplicate and again.turn == edit.turn == answer.turn
        lines = (await client.history(session)).messages
        assert [line.text for line in lines] == ["And this?", "You said: And this?"]
        assert {line.branches for line in lines} == {(accepted.turn, edit.turn)}
        await client.select(session, accepted.turn)
        lines = (await client.history(session)).messages
        assert [line.text for line in lines] == [QUESTION, f"You said: {QUESTION}"]
        assert await daemon.end() == 0
    lives.nothing_is_left()


def stored_answer(state_dir: Path, turn: str) -> str:
    database = sqlite3.connect(state_dir / "agentd.db")
    try:
        [(document,)] = database.execute("SELECT outbound_json FROM turns WHERE turn_id = ?", (turn,))
    finally:
        database.close()
    assert isinstance(document, str)
    return document
