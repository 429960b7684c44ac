"""What an agentd of version 1 of the durable format left behind is recovered, answered, delivered and looked after.

`version_1/` was written by that agentd, one chat for each state: a question that waits, one that ran when the process
died, one that was parked, one whose turn had ended but for its answer's file; answers that were not sent, sent by half,
and deferred; a message of ours; two dead letters. `agentd.sql` is the dump of its database.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agentd.testing.channel import FakeChannel, SentPart
from tests.built_channels import configured, say
from tests.house import RunningDaemon, running, status_until

LEFT = Path(__file__).parent / "version_1"
DELIVERED = {
    "waiting": "What is kept?",
    "started": "What ran when the lights went out?",
    "parked": "A message of ours. What was parked?",
    "recorded": "This answer was recorded.",
    "answered": "An answer [1].",
    "halfway": "part two.",
    "deferred": "An answer that had to wait.",
    "poison": "This message was put aside.",
}
"""What each chat is sent: the model repeats the question."""
LONG_AGO = {"max_age": 1e9, "absent_age": 1e9}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory as that agentd left it."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name in ("pending", "dead"):
        shutil.copytree(LEFT / name, state / name)
    with closing(sqlite3.connect(state / "agentd.db")) as database:
        database.executescript((LEFT / "agentd.sql").read_text())
    return state


def texts(received: Sequence[SentPart]) -> dict[str, str]:
    """What each chat was sent, its messages in the order of their ids."""
    said: dict[str, dict[str, str]] = {}
    for part in received:
        messages = said.setdefault(part.event.address.chat, {})
        messages[part.event.id] = messages.get(part.event.id, "") + part.text
    return {chat: " ".join(text.strip() for _, text in sorted(messages.items())) for chat, messages in said.items()}


async def settled(house: RunningDaemon) -> None:
    """Wait until nothing is pending any more."""
    async with house.client() as client:
        await status_until(client, "pending", unanswered=0, undelivered=0)


async def test_everything_is_answered_and_delivered(state: Path) -> None:
    channel = FakeChannel("old", part_size=1000)
    settings = configured(channel)
    settings = settings.model_copy(update={"delivery": settings.delivery.model_copy(update=LONG_AGO)})
    async with running(state, settings=settings) as house:
        await settled(house)
        assert texts(channel.received) == DELIVERED
        assert {part.event.address.chat: part.n for part in channel.received}["halfway"] == 1
        assert {part.event.address.chat for part in channel.received if part.repeat} == {"halfway"}
        assert {part.event.address.thread for part in channel.received if part.event.address.chat == "waiting"} == {"7"}

        repeated = await say(channel, "What was decided already?", chat="recorded", message_id="m-recorded")
        assert repeated.duplicate and repeated.answer is not None
        assert repeated.answer.id in {part.event.id for part in channel.received}

        async with house.client() as client:
            letters = (await client.letters()).dead
            assert [(letter.kind, letter.attempts, letter.error) for letter in letters] == [
                ("outbound", 3, "403: blocked"),
                ("inbound", 0, "agentd died 3 times while it answered this message alone"),
            ]
            done = await client.retry([letter.id for letter in letters])
            assert not done.failed
        await settled(house)
        told = texts(channel.received)
        assert told["buried"] == "An answer that nobody took."
        assert told["poison"] == f"{DELIVERED['poison']} A question that was put aside."
