"""A deletion and a question exclude each other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import Busy, NotFound
from agentd.events import OWNER, Event, Principal, SessionDeleted
from agentd.ids import IdSource
from agentd.ports.sessions import SessionInfo
from agentd.serving.deletions import Deletions
from agentd.testing.pending import MemoryPending
from agentd.turns.conversation import Conversations
from tests.builders import SESSION, TIME, inbound


@dataclass
class Store:
    """Sessions whose deletion takes until `go` is set."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        self.begun.set()
        await self.go.wait()
        return SessionInfo(
            id=session_id, principal=principal, name="", title="", created=TIME, updated=TIME, messages=2, unread=0
        )


class House:
    def __init__(self) -> None:
        self.told: list[Event] = []
        self.conversations = Conversations()
        reducers = (self.conversations.apply, self.told.append)
        bus = EventBus(MemoryPending(), reducers, ids=IdSource(), clock=SystemClock())
        self.store = Store()
        self.deletions = Deletions(self.store, self.conversations, bus)


async def test_while_something_is_asked_or_waits_for_its_answer_the_session_stays() -> None:
    house = House()
    house.store.go.set()
    with house.deletions.asking(SESSION), house.deletions.asking(SESSION):
        with pytest.raises(Busy):
            await house.deletions.delete(OWNER, SESSION)
    house.conversations.apply(inbound())
    with pytest.raises(Busy):
        await house.deletions.delete(OWNER, SESSION)
    assert not house.store.begun.is_set() and not house.told


async def test_while_it_is_deleted_nothing_is_asked_and_then_it_is_told() -> None:
    house = House()
    deleting = asyncio.create_task(house.deletions.delete(OWNER, SESSION))
    await house.store.begun.wait()
    with pytest.raises(NotFound), house.deletions.asking(SESSION):
        pass
    house.store.go.set()
    assert (await deleting).messages == 2
    (event,) = house.told
    assert isinstance(event, SessionDeleted) and event.session_id == SESSION
