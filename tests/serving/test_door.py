"""What a channel and its people get of the house: the real daemon, with other users and with a hostile channel."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.config import Settings
from agentd.errors import AgentdError, NotFound, UsageError
from agentd.records import OWNER, Address, Citation, Principal
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.serving.given import Given
from agentd.testing.channel import FakeChannel
from agentd.testing.model import ScriptedModel
from tests.builders import TIME
from tests.built_channels import GIVEN, configured, say
from tests.house import RunningDaemon, next_answer, next_of, running

ANN, BEN = 54321, 54322
SECRET = "My diary says that owls are nice."


@asynccontextmanager
async def diary(folder: Path, settings: Settings | None = None) -> AsyncIterator[tuple[RunningDaemon, str]]:
    """A daemon that a group may use, and a conversation of its owner."""
    async with running(folder / "state", settings=settings, shared=True) as house, house.client() as owner:
        session = (await owner.open("diary")).session
        await owner.post(session, SECRET)
        await owner.ack((await next_answer(owner)).id)
        yield house, session


# --- other users of the machine ---


async def test_another_user_sees_their_own_conversations_alone(tmp_path: Path) -> None:
    async with diary(tmp_path) as (house, session), house.user(ANN) as ann, house.user(BEN) as ben:
        assert (await ann.sessions()).as_json()["sessions"] == []
        opened = await ann.open("diary", history=10)
        assert opened.session != session and opened.history == ()
        await ann.post(opened.session, "mine")
        await next_answer(ann)
        assert [line["name"] for line in (await ann.sessions()).as_json()["sessions"]] == ["diary"]
        assert (await ben.sessions()).as_json()["sessions"] == []
        for client, other in ((ann, session), (ben, session), (ben, opened.session)):
            await refused_everything(client, other)


async def refused_everything(client: Client, session: str) -> None:
    """Every request that names a session is answered as if there was no such one."""
    requests = [
        client.open(session, history=10),
        client.history(session),
        client.post(session, "what did I say?"),
        client.stop(session),
    ]
    for command in ("/history", "/sources", "/retry", "/stop", "/usage", "/good", f"/resume {session}"):
        requests.append(client.command(command, session=session))
    for request in requests:
        with pytest.raises(NotFound):
            await request


async def test_another_user_asks_and_stops_their_own_turns(tmp_path: Path) -> None:
    model = ScriptedModel()
    async with running(tmp_path / "s", model, shared=True) as house, house.user(ANN) as ann:
        session = (await ann.open()).session
        model.gate.clear()
        await ann.post(session, "a long story")
        await next_of(ann, protocol.Found)
        assert await ann.stop(session)
        assert (await next_answer(ann)).outcome == "interrupted"


async def test_another_user_is_refused_what_is_the_house_s(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")
    async with diary(tmp_path) as (house, _), house.user(ANN) as ann:
        with pytest.raises(UsageError, match="--upload"):
            async for _ in ann.ingest([note]):
                pass
        for text in ("/model", "/model none", "/model /x.gguf"):
            with pytest.raises(UsageError, match="for the owner"):
                await ann.command(text)
        with pytest.raises(UsageError, match="only the owner"):
            await ann.hand_over()
        for decide in (ann.letters(), ann.letter("x"), ann.retry(["x"]), ann.drop(["x"])):
            with pytest.raises(UsageError, match="the owner"):
                await decide
        assert set((await ann.status()).as_json()) == {"daemon", "model", "yours", "problems"}
        assert str(tmp_path) not in str((await ann.status()).as_json())
        assert str(tmp_path) not in (await ann.command("/status")).text


async def test_another_user_is_not_answered_from_the_owner_s_documents(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")
    async with diary(tmp_path) as (house, _), house.client() as owner, house.user(ANN) as ann:
        async for _ in owner.ingest([note]):
            pass
        for client, places in ((owner, 1), (ann, 0)):
            opened = await client.open()
            await client.post(opened.session, "What is the zebrakey?")
            found = await next_of(client, protocol.Found)
            assert isinstance(found, protocol.Found) and len(found.citations) == places


async def test_another_user_is_answered_from_what_the_owner_shares_with_them_and_shares_nothing(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")

    async def places(client: Client) -> int:
        session = (await client.open()).session
        await client.post(session, "What is the zebrakey?")
        found = await next_of(client, protocol.Found, session=session)
        assert isinstance(found, protocol.Found)
        return len(found.citations)

    async with diary(tmp_path) as (house, _), house.client() as owner, house.user(ANN) as ann, house.user(BEN) as ben:
        async for _ in owner.ingest([note]):
            pass
        (share,) = (await owner.share("add", str(tmp_path), str(ANN))).shares
        assert (share.whom, share.documents) == (f"user:{ANN}", 1)
        assert [await places(client) for client in (ann, ben)] == [1, 0]
        with pytest.raises(UsageError, match="absolute"):
            await owner.share("add", "note.txt", "everyone")
        for request in (ann.share("list"), ann.share("add", str(note), "everyone"), ann.share("remove", str(tmp_path))):
            with pytest.raises(UsageError, match="only the owner"):
                await request
        assert (await owner.share("list")).shares == (share,)
        assert (await owner.share("remove", str(tmp_path))).shares == (share,)
        assert await places(ann) == 0


async def test_a_question_of_the_owner_in_a_conversation_of_another_user_is_one_of_that_user(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")
    async with diary(tmp_path) as (house, _), house.client() as owner, house.user(ANN) as ann:
        async for _ in owner.ingest([note]):
            pass
        session = (await ann.open()).session
        await owner.open(session)
        await owner.post(session, "What is the zebrakey?")
        found = await next_of(ann, protocol.Found)
        assert isinstance(found, protocol.Found) and found.citations == ()


async def test_who_is_not_in_the_group_is_not_let_in(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as house:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with house.user(ANN):
                pass


async def test_users_who_are_named_owners_are_the_owner(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    settings = Settings.model_validate({"daemon": {"owners": ["nobody"]}})
    async with diary(tmp_path, settings) as (house, session), house.user(nobody.pw_uid) as client:
        opened = await client.open("diary", history=10)
        assert (opened.session, opened.history[0].text) == (session, SECRET)
        assert (await client.letters()).counts.dead == 0


# --- a channel that wants more than it was given ---


@asynccontextmanager
async def mallory(folder: Path) -> AsyncIterator[tuple[Given, FakeChannel, str]]:
    """What a hostile channel has in its hands, beside a conversation of the owner."""
    channel = FakeChannel("mallory")
    async with diary(folder, configured(channel)) as (_, session):
        await channel.receiving.wait()
        yield GIVEN["mallory"], channel, session


FORGED = (
    OWNER,
    Principal(kind="owner", id="mallory:me"),
    Principal(kind="user", id=str(os.geteuid())),
    Principal(kind="person", id="web:ann"),
    Principal(kind="chat", id="telegram:1"),
)


@pytest.mark.parametrize("who", FORGED, ids=str)
async def test_a_channel_speaks_only_for_principals_that_it_was_given(tmp_path: Path, who: Principal) -> None:
    async with mallory(tmp_path) as (given, channel, session):
        place = Citation(n=1, title="t", source="/x", start=0, end=1)
        attempts: list[Callable[[], Awaitable[object]]] = [
            lambda: say(channel, "What did I say?", principal=who, session_id=session),
            lambda: given.door.sessions.open(who, session),
            lambda: given.door.sessions.list(who),
            lambda: given.door.sessions.history(who, session),
            lambda: given.door.sessions.mark_read(who, session),
            lambda: given.door.sessions.session(who, session),
            lambda: given.door.sessions.search(who, "owls"),
            lambda: given.door.sessions.rename(who, session, "mine"),
            lambda: given.door.sessions.delete(who, session),
            lambda: anext(given.door.documents.upload("a.md", b"", who)),
            lambda: given.door.sessions.follow(who, session),
            lambda: given.door.documents.counts(who),
            lambda: given.door.documents.newest(who, before=9, limit=9),
            lambda: given.door.documents.remove(who, [1]),
            lambda: given.door.documents.passage(place, who, TIME),
            lambda: given.door.house.snapshot(who),
            lambda: given.door.house.run("/status", who, session),
            lambda: given.door.house.letters(who),
        ]
        for attempt in attempts:
            with pytest.raises(UsageError, match="may not speak"):
                await attempt()
        with pytest.raises(UsageError, match="may not speak"):
            given.door.documents.ingest([tmp_path], who)


async def test_somebody_in_a_chat_reaches_nothing_of_the_owner(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The zebrakey is SK-OWNER.")
    async with mallory(tmp_path) as (given, channel, session):
        chat = given.door.principals.chat("me")
        own = await given.door.sessions.open(chat, "diary")
        assert own.id != session and await given.door.sessions.list(chat) == []
        for attempt in (
            lambda: say(channel, "What did I say?", principal=chat, session_id=session),
            lambda: given.door.sessions.follow(chat, session),
            lambda: given.door.sessions.history(chat, session),
        ):
            with pytest.raises(NotFound):
                await attempt()
        with pytest.raises(UsageError, match="only the owner"):
            given.door.documents.ingest([note], chat)
        with pytest.raises(UsageError, match="the owner"):
            await given.door.house.letters(chat)


async def test_a_channel_has_answers_sent_to_its_own_addresses_alone(tmp_path: Path) -> None:
    async with mallory(tmp_path) as (given, channel, session):
        elsewhere = Address(channel="terminal", account="local", chat=session)
        with pytest.raises(UsageError, match="address of channel terminal"):
            await say(channel, "hello", address=elsewhere)
        with pytest.raises(UsageError, match="address of channel terminal"):
            given.door.house.reachable(elsewhere)


async def test_only_the_channel_of_this_machine_speaks_for_its_users_and_has_its_sockets(tmp_path: Path) -> None:
    async with mallory(tmp_path) as (given, _, _):
        assert given.sockets == ()
        with pytest.raises(AgentdError, match=r"not speak .* users"):
            given.door.principals.local(None, group=None)  # type: ignore[arg-type]
