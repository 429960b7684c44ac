"""One request as a client in memory: what it asks and hears, when its answer counts as taken, and what it may hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agentd.errors import Busy, NotFound
from agentd.ports.channels import Caller
from agentd.records import OWNER, Principal, Sender
from agentd.serving import outbox, protocol
from agentd.serving.budget import OTHER
from agentd.serving.visits import Gone, Visit
from agentd.testing.clients import MemoryChannel, MemoryClient
from agentd.testing.model import ScriptedModel, says
from tests.built_channels import in_memory
from tests.house import running

ME = Caller(principal=OWNER, sender=Sender(id="me"))
ANN = Caller(principal=Principal(kind="user", id="54321"), sender=Sender(id="ann"))
DEADLINE = 60.0


@asynccontextmanager
async def house(folder: Path, model: ScriptedModel | None = None) -> AsyncIterator[MemoryChannel]:
    channel = MemoryChannel("terminal")
    async with asyncio.timeout(DEADLINE), running(folder / "s", model, in_memory(channel)):
        await channel.running.wait()
        yield channel


async def asked(visit: Visit, text: str = "one two", session: str | None = None) -> str:
    """The session."""
    opened = await visit.ask(protocol.Open(id="o", session=session), protocol.SessionOpened)
    post = protocol.Post(id="m", session=opened.session, text=text, reply="request")
    await visit.ask(post, protocol.Accepted)
    return opened.session


async def answer(visit: Visit) -> protocol.Answer:
    async for message in visit.heard():
        if isinstance(message, protocol.Answer):
            return message
    raise AssertionError("the visit ended")


async def undelivered(client: MemoryClient, wanted: int) -> None:
    """Returns when so many answers are pending, and no question."""
    found = -1
    while found != wanted:
        status = await client.told(protocol.Get(id="s", what="status"), protocol.StatusReport)
        pending = status.as_json()["pending"]
        found = -1 if pending["unanswered"] else pending["undelivered"]


async def test_an_answer_stays_owed_until_the_visitor_has_taken_it(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client, channel.clients.visit(ME) as visit:
        await asked(visit)
        heard = await answer(visit)
        assert heard.text == "one two "
        await undelivered(client, 1)
        visit.taken(heard)
        await undelivered(client, 0)


async def test_who_leaves_before_the_answer_finds_it_again_under_the_same_id(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        async with channel.clients.visit(ME) as visit:
            session = await asked(visit)
        model.gate.set()
        await undelivered(client, 0)
        async with channel.clients.visit(ME) as again:
            await asked(again, session=session)
            assert (await answer(again)).text == "one two "
        assert len(model.requests) == 1


async def test_what_was_said_before_the_visitor_came_is_heard_however_long_it_is(tmp_path: Path) -> None:
    long = "word " * 200_000
    model = ScriptedModel(lambda request: says(long))
    async with house(tmp_path, model) as channel:
        async with channel.clients.visit(ME) as visit:
            session = await asked(visit)
            heard = await answer(visit)
        async with channel.clients.visit(ME) as again:
            await asked(again, session=session)
            assert (await answer(again)).text == heard.text


async def test_a_refusal_is_raised_as_the_error_that_it_is_and_the_visit_goes_on(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.clients.visit(ME) as visit:
        with pytest.raises(NotFound):
            await asked(visit, session="00000000000000aa-00000000")
        await asked(visit)
        assert (await answer(visit)).text == "one two "


async def test_an_export_is_heard_piece_by_piece(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.clients.visit(ME) as visit:
        session = await asked(visit)
        visit.taken(await answer(visit))
        export = protocol.Export(id="e", session=session)
        pieces = [piece async for piece in visit.each(export, protocol.Exported)]
        assert pieces[-1].finished
        assert "one two" in "".join(piece.text for piece in pieces)


async def test_a_visitor_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.001)
    async with house(tmp_path) as channel, channel.clients.visit(ME) as visit:
        session = await asked(visit)
        async with channel.client(OWNER) as client:
            await undelivered(client, 0)
        with pytest.raises(Gone):
            async for _ in visit.heard():
                pass
        with pytest.raises(Gone):
            await visit.ask(protocol.Stop(id="s", session=session), protocol.Stopped)


async def test_visits_are_bounded_for_each_principal_and_idle_clients_give_way_to_them(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, AsyncExitStack() as stack:
        idle = await stack.enter_async_context(channel.client(ANN.principal))
        for _ in range(OTHER.connections):
            await stack.enter_async_context(channel.clients.visit(ANN))
        assert (await idle.hear(protocol.Failure)).code == Busy.code
        with pytest.raises(Busy):
            async with channel.clients.visit(ANN):
                pass
        async with channel.client(OWNER) as owner, channel.clients.visit(ME) as visit:
            await asked(visit)
            await undelivered(owner, 1)


async def test_a_client_for_whom_no_seat_is_left_is_told_so(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, AsyncExitStack() as stack:
        for _ in range(OTHER.connections):
            await stack.enter_async_context(channel.clients.visit(ANN))
        with pytest.raises(ConnectionError):
            async with channel.client(ANN.principal):
                pass


async def test_visitors_are_told_that_the_daemon_stops(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.clients.visit(ME) as visit:
        farewell = asyncio.create_task(channel.stop_receiving(), name="goodbye")
        assert isinstance(await visit.hear(), protocol.Closing)
        await farewell


async def test_a_turn_is_found_by_its_id_by_whom_it_belongs_to(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.clients.visit(ANN) as visit:
        session = await asked(visit)
        opened = await visit.ask(protocol.Open(id="o", session=session), protocol.SessionOpened)
        turn = opened.running or opened.waiting[0]
        fetch = protocol.Fetch(id="f", turn=turn)
        fetched = await visit.ask(fetch, protocol.Fetched)
        assert (fetched.session, fetched.turn) == (session, turn)
        assert fetched.state in ("queued", "running")
        model.gate.set()
        visit.taken(await answer(visit))
        async with channel.clients.visit(ME) as owner:
            assert (await owner.ask(fetch, protocol.Fetched)).state == "ended"
            assert (await answer(owner)).text == "one two "
        bob = Caller(principal=Principal(kind="user", id="54322"), sender=Sender(id="bob"))
        async with channel.clients.visit(bob) as other:
            with pytest.raises(NotFound):
                await other.ask(fetch, protocol.Fetched)
