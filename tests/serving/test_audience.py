"""One audience over all channels: who follows a session has its answers, wherever the question came from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.records import OWNER
from agentd.serving import outbox, protocol
from agentd.serving.client import Client
from agentd.testing.channel import FakeChannel
from agentd.testing.clients import MemoryChannel, MemoryClient
from agentd.testing.model import ScriptedModel
from tests.built_channels import GIVEN, configured, in_memory, say
from tests.house import next_answer, running, status_until


@asynccontextmanager
async def page_and_terminal(
    folder: Path, model: ScriptedModel | None = None
) -> AsyncIterator[tuple[MemoryChannel, Client, str]]:
    """A channel of pages, a client of the terminal, and a session of somebody on a page that both may see."""
    pages = MemoryChannel("pages")
    async with running(folder / "s", model, in_memory(pages)) as house, house.client() as terminal:
        await pages.running.wait()
        ann = pages.given.door.principals.chat("ann")
        session = (await pages.given.door.sessions.open(ann, "shared")).id
        yield pages, terminal, session


async def opened(client: MemoryClient, session: str) -> None:
    await client.ask(protocol.Open(id="o", session=session), protocol.SessionOpened)


async def test_what_is_asked_in_the_terminal_is_answered_on_the_page_and_the_other_way_round(tmp_path: Path) -> None:
    async with page_and_terminal(tmp_path) as (pages, terminal, session):
        async with pages.client(pages.given.door.principals.chat("ann")) as page:
            await opened(page, session)
            await terminal.open(session)
            await terminal.post(session, "from the terminal", message_id="t")
            await page.ask(protocol.Post(id="p", session=session, text="from the page"), protocol.Accepted)
            for message_id, text in (("t", "from the terminal "), ("p", "from the page ")):
                assert (await page.hear(protocol.Answer, in_reply_to=message_id)).text == text
                answer = await next_answer(terminal)
                assert (answer.in_reply_to, answer.text) == (message_id, text)
                await terminal.ack(answer.id)


async def test_an_answer_that_nobody_heard_goes_to_who_opens_its_session_over_another_channel(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with page_and_terminal(tmp_path, model) as (pages, terminal, session):
        async with pages.client(pages.given.door.principals.chat("ann")) as page:
            await opened(page, session)
            await page.ask(protocol.Post(id="p", session=session, text="hello"), protocol.Accepted)
        model.gate.set()
        await status_until(terminal, "pending", unanswered=0, undelivered=1)
        await terminal.open(session)
        answer = await next_answer(terminal)
        assert answer.text == "hello "
        await terminal.ack(answer.id)
        await status_until(terminal, "pending", undelivered=0)


async def test_followers_hear_the_answers_to_what_came_over_a_platform(tmp_path: Path) -> None:
    platform = FakeChannel("platform")
    async with running(tmp_path / "s", settings=configured(platform)) as house, house.client() as client:
        await platform.receiving.wait()
        given = GIVEN["platform"]
        session = (await given.door.sessions.open(given.door.principals.chat("1"), "main")).id
        await client.open(session)
        await say(platform, "over the platform")
        assert (await next_answer(client)).text == "over the platform "
        assert [part.text for part in await platform.wait_for_received(1)] == ["over the platform "]


async def test_an_answer_is_taken_by_one_of_several_that_acknowledges(tmp_path: Path) -> None:
    channel = MemoryChannel("terminal")
    async with running(tmp_path / "s", settings=in_memory(channel)):
        async with channel.client(OWNER, acks=True) as one, channel.client(OWNER, acks=True) as two:
            session = (await one.ask(protocol.Open(id="o"), protocol.SessionOpened)).session
            await opened(two, session)
            await one.ask(protocol.Post(id="m", session=session, text="hello"), protocol.Accepted)
            answers = [await client.hear(protocol.Answer) for client in (one, two)]
            assert answers[0] == answers[1]
            await undelivered(two, 1)
            await two.say(protocol.Ack(ids=(answers[0].id,)))
            await undelivered(one, 0)


async def undelivered(client: MemoryClient, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            report = await client.told(protocol.Get(id="s", what="status"), protocol.StatusReport)
            if report.pending is not None and report.pending.undelivered == count:
                return


async def test_a_stuck_client_holds_up_no_other_and_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = MemoryChannel("terminal")
    async with running(tmp_path / "s", settings=in_memory(channel)):
        async with channel.client(OWNER) as stuck, channel.client(OWNER) as other:
            session = (await stuck.ask(protocol.Open(id="o"), protocol.SessionOpened)).session
            await opened(other, session)
            stuck.transport.reading.clear()
            for n in range(3):
                await other.ask(protocol.Post(id=f"m{n}", session=session, text=f"hello {n}"), protocol.Accepted)
                assert (await other.hear(protocol.Answer)).text == f"hello {n} "
            assert not stuck.transport.gone.is_set()
            await undelivered(other, 0)
            monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.05)
        async with channel.client(OWNER) as stuck:
            stuck.transport.reading.clear()
            await stuck.say(protocol.Open(id="o", session=session))
            async with asyncio.timeout(60):
                await stuck.transport.gone.wait()
