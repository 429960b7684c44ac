"""What users of comparable daemons report, as tests of the whole daemon; docs/peer-reports.md lists every report."""

from __future__ import annotations

import ast
import asyncio
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentd.errors import NotFound, Permanent, Retry
from agentd.events import OutboundEvent
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.records import Address
from agentd.serving import protocol
from agentd.testing.channel import FakeChannel
from agentd.testing.model import ScriptedModel, failing
from tests.builders import inbound, outbound
from tests.built_channels import configured, say
from tests.daemons import DaemonProcess
from tests.house import DEADLINE, next_answer, next_of, running, status_until
from tests.unfinished import unfinished

ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 3600


def to(chat: str, channel: str = "phone") -> Address:
    return Address(channel=channel, account="bot", chat=chat)


async def owed(state: Path, address: Address, text: str, *, days_old: float = 0.0) -> OutboundEvent:
    """An answer that an earlier daemon left undelivered."""
    ids = IdSource(lambda: time.time_ns() - int(days_old * DAY * 1e9))
    async with PendingDirectory(state) as pending:
        asked = inbound(address=address, id=ids.next())
        await pending.accept(asked)
        event = outbound(asked, text, id=ids.next())
        await pending.answer(event)
    return event


async def start_and_count(state: Path, channel: FakeChannel, **figures: int) -> None:
    """A life of the daemon that lasts until its pending directory has these figures."""
    async with running(state, settings=configured(channel)) as house, house.client() as client:
        await status_until(client, "pending", **figures)


def texts(channel: FakeChannel) -> list[str]:
    return [part.text for part in channel.received]


async def test_mail_that_was_delivered_is_not_sent_again_by_later_starts(tmp_path: Path) -> None:
    channel = FakeChannel("phone")
    await owed(tmp_path, to("1"), "hello")
    for _ in range(3):
        await start_and_count(tmp_path, channel, undelivered=0)
    assert texts(channel) == ["hello"]


async def test_an_answer_beyond_the_age_limit_is_kept_as_a_dead_letter_and_not_sent(tmp_path: Path) -> None:
    channel = FakeChannel("phone")
    old = await owed(tmp_path, to("1"), "last week's", days_old=8)
    await start_and_count(tmp_path, channel, undelivered=0, dead=1)
    assert channel.attempts == []
    async with PendingDirectory(tmp_path) as pending:
        (letter,) = await pending.dead()
    assert letter.id == old.id and "7 d" in letter.reason


async def test_what_the_platform_refuses_for_good_is_dead_at_once_and_no_later_start_tries_it(tmp_path: Path) -> None:
    channel = FakeChannel("phone")
    channel.script(Permanent("Bad Request: chat not found"))
    await owed(tmp_path, to("1"), "hello")
    for _ in range(3):
        await start_and_count(tmp_path, channel, undelivered=0, dead=1)
    assert len(channel.attempts) == 1
    async with PendingDirectory(tmp_path) as pending:
        assert [letter.reason for letter in await pending.dead()] == ["Bad Request: chat not found"]


async def test_an_answer_for_a_channel_that_is_not_loaded_waits_and_costs_no_attempt(tmp_path: Path) -> None:
    channel = FakeChannel("phone")
    await owed(tmp_path, to("1"), "hello")
    async with running(tmp_path) as house, house.client() as client:
        await status_until(client, "pending", undelivered=1, dead=0)
    async with PendingDirectory(tmp_path) as pending:
        (turn,) = (await unfinished(pending)).values()
        assert (turn.attempts, turn.last_error) == (0, "")
    await start_and_count(tmp_path, channel, undelivered=0, dead=0)
    assert texts(channel) == ["hello"]


async def test_an_outage_of_minutes_of_failures_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    """As many failures as elsewhere end in the dead letters, in much less time than they need to be an end here."""
    channel = FakeChannel("phone")
    channel.script(*[Retry("503")] * 4, chat="1")
    for text in ("one", "two", "three"):
        await owed(tmp_path, to("1"), text)
    await owed(tmp_path, to("2"), "to somebody else")
    settings = configured(channel)
    quick = settings.delivery.model_copy(update={"backoff_base": 0.01, "backoff_cap": 0.02})
    async with running(tmp_path, settings=settings.model_copy(update={"delivery": quick})) as house:
        async with house.client() as client:
            await status_until(client, "pending", undelivered=0, dead=0)
    assert [text for text in texts(channel) if text != "to somebody else"] == ["one", "two", "three"]
    assert "to somebody else" in texts(channel)


async def test_an_answer_goes_where_its_question_came_from_whoever_wrote_last(tmp_path: Path) -> None:
    phone, desk = FakeChannel("phone"), FakeChannel("desk")
    model = ScriptedModel()
    async with running(tmp_path, model, configured(phone, desk)):
        model.gate.clear()
        await say(phone, "from the phone", chat="1")
        await say(phone, "from another chat", chat="2")
        await say(desk, "from the desk", chat="9")
        model.gate.set()
        await phone.wait_for_received(2)
        await desk.wait_for_received(1)
    assert {part.event.address.chat: part.text.strip() for part in phone.received} == {
        "1": "from the phone",
        "2": "from another chat",
    }
    assert [part.text.strip() for part in desk.received] == ["from the desk"]


HOSTILE = ["../../../../etc/cron.d/x", "/etc/passwd", "a\x00b", "x" * 5000, "..", "name\nwith\nlines", "🙂/🙂"]


async def test_nothing_that_a_stranger_chooses_becomes_part_of_a_path(tmp_path: Path) -> None:
    channel, state = FakeChannel("phone"), tmp_path / "deep" / "state"
    async with running(state, settings=configured(channel)):
        for name in HOSTILE:
            address = Address(channel="phone", account=name, chat=name, thread=name)
            await say(channel, "hello", chat=name, address=address, message_id=name)
            with pytest.raises(NotFound):
                await say(channel, "hello", chat=name, session_id=name)
        await channel.wait_for_received(len(HOSTILE))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state"]
    known = {"pending", "dead", "corrupt", "agentd.db", "documents.db", "lock", "agentd.sock", "models", "history"}
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in state.iterdir()} <= known


async def test_a_turn_that_fails_is_answered_with_words_and_never_with_nothing(tmp_path: Path) -> None:
    channel = FakeChannel("phone")
    async with running(tmp_path, ScriptedModel(failing("the model is gone")), configured(channel)):
        await say(channel, "hello")
        (part,) = await channel.wait_for_received(1)
    assert part.event.outcome == "error" and "the model is gone" in part.text


# --- kill -9 ---------------------------------------------------------------------------------------------------------


class Lives:
    """Consecutive daemons on one state directory; `asked` are the turns of all inferences."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._count = folder / "count"

    def daemon(self, dying_at: str = "") -> DaemonProcess:
        environment = {"DYING_COUNT": str(self._count), "DYING_AT": dying_at}
        return DaemonProcess(self.state, program="tests.dying_daemon", environment=environment)

    def asked(self) -> list[str]:
        return self._count.read_text().splitlines() if self._count.exists() else []

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.asked()) < count:  # noqa: ASYNC110 (another process writes the file)
                await asyncio.sleep(0.005)


async def test_ten_messages_that_wait_in_one_session_are_all_answered_after_a_kill_in_order(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    questions = [f"question {n}" for n in range(10)]
    async with lives.daemon(dying_at="turn") as daemon, daemon.client() as client:
        session = (await client.open(None)).session
        for question in questions:
            await client.post(session, question)
        await lives.until_asked(1)
        await daemon.end(signal.SIGKILL)
    async with lives.daemon() as daemon, daemon.client() as client:
        await client.open(session)
        answers = []
        for _ in questions:
            answers.append(await next_answer(client))
            await client.ack(answers[-1].id)
    assert [answer.text for answer in answers] == [f"You said: {question}" for question in questions]


async def test_a_message_that_takes_the_daemon_down_is_put_aside_and_the_others_are_answered(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.daemon(dying_at="turn") as daemon, daemon.client() as client:
        session = (await client.open(None)).session
        poison = await client.post(session, "poison")
        await next_of(client, protocol.Chunk, turn=poison.turn)
        await client.post(session, "after it")
        await daemon.end(signal.SIGKILL)
    for life in range(3):
        async with lives.daemon(dying_at="turn") as daemon:
            await lives.until_asked(life + 2)
            await daemon.end(signal.SIGKILL)
    assert lives.asked() == [poison.turn] * 4, "nothing else may run beside a suspect"
    async with lives.daemon() as daemon, daemon.client() as client:
        await client.open(session)
        told = {}
        for _ in range(2):
            answer = await next_answer(client)
            await client.ack(answer.id)
            told[answer.outcome] = answer.text
        assert "put aside" in told["error"] and told["answer"] == "You said: after it"
        await status_until(client, "pending", unanswered=0, undelivered=0, dead=1)


# --- the page --------------------------------------------------------------------------------------------------------


def names_of_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def named_in(page: str) -> Sequence[tuple[str, str]]:
    return re.findall(r"`([\w/]*test_\w+)::(test_\w+)`", page)


def test_every_test_that_the_page_of_reports_names_exists() -> None:
    named = named_in((ROOT / "docs" / "proof" / "peer-reports.md").read_text())
    assert len(named) > 50
    missing = [f"{file}::{test}" for file, test in named if test not in names_of_tests(ROOT / "tests" / f"{file}.py")]
    assert missing == []


def test_the_page_names_every_report_that_is_tested_here() -> None:
    page = (ROOT / "docs" / "proof" / "peer-reports.md").read_text()
    named = {test for _, test in named_in(page)}
    assert {test for test in names_of_tests(Path(__file__)) if "_page_" not in test} <= named
