"""What an agentd of version 1 of the durable format left behind is recovered, answered, delivered and looked after.

`version_1/` was written by that agentd, one chat for each state: a question that waits, one that ran when the process
died, one that was parked, one whose turn had ended but for its answer's file; answers that were not sent, sent by half,
and deferred; a message of ours; two dead letters. `agentd.sql` is the dump of its database.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentd.config import Settings
from agentd.events import InboundEvent, encode
from agentd.pending.file import encode_file
from agentd.testing.channel import FakeChannel, SentPart
from agentd.testing.model import ScriptedModel
from tests.builders import address, inbound
from tests.built_channels import configured, say
from tests.house import RunningDaemon, running, status_until
from tests.pending_files import sealed, version_1

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


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel("old", part_size=1000)


def patient(channel: FakeChannel) -> Settings:
    """Settings with which nothing is too old."""
    settings = configured(channel)
    return settings.model_copy(update={"delivery": settings.delivery.model_copy(update=LONG_AGO)})


async def test_everything_is_answered_and_delivered(state: Path, channel: FakeChannel) -> None:
    async with running(state, settings=patient(channel)) as house:
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


async def test_what_does_not_fit_harms_its_own_turn_and_its_sender_is_told(
    tmp_path: Path, channel: FakeChannel
) -> None:
    def asked(chat: str, text: str, **changes: Any) -> InboundEvent:
        return inbound(
            text, session_id=f"{len(chat):016x}-00000000", address=address(channel="old", chat=chat), **changes
        )

    good, grown = asked("good", "A question."), asked("grown", "A question from later on.")
    short, strange, old = asked("short", "?"), asked("strange", "?"), asked("old", "allow it", kind="decision")
    body = json.loads(encode(grown))
    without = {name: value for name, value in json.loads(encode(short)).items() if name != "text"}
    later = {**body, "mood": "good", "sender": {**body["sender"], "x": 1}}
    files = {
        good: encode_file(good),
        grown: sealed(grown, json.dumps(later).encode(), more=1),
        short: sealed(short, json.dumps(without).encode()),
        strange: sealed(strange, kind="whisper"),
        old: version_1(old),
    }
    (tmp_path / "pending").mkdir()
    for event, data in files.items():
        (tmp_path / "pending" / f"{event.id}.event").write_bytes(data)
    model = ScriptedModel()
    async with running(tmp_path, model, patient(channel)) as house:
        await settled(house)
    said = {part.event.address.chat: part.event for part in channel.received}
    assert {chat: (event.outcome, event.error_code) for chat, event in said.items()} == {
        "good": ("answer", ""),
        "grown": ("answer", ""),
        "short": ("error", "damaged"),
        "strange": ("error", "damaged"),
        "old": ("error", "not_carried_out"),
    }
    assert len(model.requests) == 2
    kept = sorted(path.name for path in (tmp_path / "corrupt").iterdir())
    assert kept == sorted(f"{event.id}.event" for event in (short, strange))
