"""What a session does at the moment, and who watches all sessions, as clients are told it."""

from __future__ import annotations

from pathlib import Path

from agentd.records import OWNER
from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from tests.serving.test_requests import ANN, BEN, answered, house, opened, refused


async def test_every_change_of_a_conversation_is_told_after_what_changed_it(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with house(tmp_path, model) as channel, channel.client(OWNER) as client:
        session = await opened(client)
        first = await client.ask(protocol.Post(id="1", session=session, text="one"), protocol.Accepted)
        await client.hear(protocol.ConversationState, running=first.turn, waiting=())
        second = await client.ask(protocol.Post(id="2", session=session, text="two"), protocol.Accepted)
        await client.hear(protocol.ConversationState, running=first.turn, waiting=(second.turn,))
        await client.ask(protocol.Stop(id="3", session=session), protocol.Stopped)
        await client.hear(protocol.ConversationState, running=first.turn, stopping=True, waiting=(second.turn,))
        model.gate.set()
        await client.hear(protocol.ConversationState, running="", waiting=(), session=session)


async def test_who_watches_hears_of_all_sessions_of_their_own_also_of_new_ones(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(ANN) as watcher, channel.client(ANN) as ann:
        async with channel.client(BEN) as ben:
            await watcher.ask(protocol.Watch(id="w"), protocol.Watching)
            await answered(ben, await opened(ben), "secret")
            session = await opened(ann)
            answer = await answered(ann, session, "hello")
        question = await watcher.hear(protocol.Question)
        assert (question.session, question.text) == (session, "hello")
        heard = await watcher.hear(protocol.Answer)
        assert (heard.id, heard.text) == (answer.id, "hello ")
        assert (await watcher.hear(protocol.ConversationState)).session == session


async def test_the_owner_watches_everybody_if_they_ask_for_it(tmp_path: Path) -> None:
    everybody = protocol.Watch(id="w", everybody=True)
    async with house(tmp_path) as channel, channel.client(OWNER) as owner, channel.client(ANN) as ann:
        assert await refused(ann, everybody) == "forbidden"
        await owner.ask(everybody, protocol.Watching)
        session = await opened(ann)
        await answered(ann, session, "hello")
        assert (await owner.hear(protocol.Answer)).session == session


async def test_nothing_comes_twice_of_a_session_that_a_watcher_has_opened(tmp_path: Path) -> None:
    async with house(tmp_path) as channel, channel.client(OWNER) as client:
        await client.ask(protocol.Watch(id="w"), protocol.Watching)
        one, other = await opened(client, "one"), await opened(client, "other")
        await client.ask(protocol.Close(id="c", session=other), protocol.Closed)
        async with channel.client(OWNER) as terminal:
            await opened(terminal, one)
            await opened(terminal, other)
            await answered(terminal, one, "first", "1")
            await answered(terminal, other, "second", "2")
            await answered(terminal, one, "third", "3")
        asked = [(await client.hear(protocol.Question)).text for _ in range(3)]
        assert asked == ["first", "second", "third"]
