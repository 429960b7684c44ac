"""Sessions and how their turns ended, over one database, and rows that went bad."""

from __future__ import annotations

from typing import Any

from agentd.events import InboundEvent, OutboundEvent, Outcome
from agentd.ids import IdSource
from agentd.records import OWNER, Address, Citation, Principal, Sender
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store
from agentd.storage.turns import TurnRecords
from agentd.testing.clock import FakeClock

ANN = Principal(kind="person", id="ann")
BEN = Principal(kind="person", id="ben")
IDS = IdSource()
PLACE = Citation(n=1, title="Guide", source="/docs/guide.md", heading="Start", start=3, end=9)
BAD_VALUES = ["x", "", b"\xff\xfe", 5, "2026-01-01T00:00:00"]


class Kept(Sessions):
    """Sessions, and beside them how their turns ended."""

    def __init__(self, store: Store, clock: FakeClock, **told: Any) -> None:
        super().__init__(store, IDS, clock, **told)
        self.turns = TurnRecords(store, clock)


def asked(
    session_id: str, text: str = "What is it?", *, principal: Principal = OWNER, key: str = "", kind: str = "message"
) -> InboundEvent:
    turn_id = IDS.next()
    return InboundEvent.model_validate(
        {
            "id": turn_id,
            "time": FakeClock().now(),
            "turn_id": turn_id,
            "session_id": session_id,
            "kind": kind,
            "principal": principal,
            "address": Address(channel="terminal", chat=session_id),
            "sender": Sender(id="1"),
            "message_id": "m",
            "dedupe_key": key or f"key of {turn_id}",
            "content_digest": f"digest of {text}",
            "text": text,
        }
    )


def answered(
    *inbounds: InboundEvent, text: str = "It is this [1].", outcome: Outcome = "answer", session_id: str = ""
) -> OutboundEvent:
    outbound_id = IDS.next()
    return OutboundEvent(
        id=outbound_id,
        time=FakeClock().now(),
        turn_id=inbounds[-1].turn_id if inbounds else outbound_id,
        session_id=inbounds[-1].session_id if inbounds else session_id,
        principal=OWNER,
        address=Address(channel="terminal", chat="c"),
        answers=tuple(inbound.turn_id for inbound in inbounds),
        outcome=outcome,
        text=text,
        citations=(PLACE,),
    )


async def talk(sessions: Kept, principal: Principal, ref: str | None = None, text: str = "What is it?") -> str:
    """One question and its answer; the id of the session."""
    session = await sessions.open(principal, ref)
    inbound = asked(session.id, text, principal=principal)
    await sessions.turns.finish([inbound], answered(inbound))
    return session.id


async def end(sessions: Kept, question: InboundEvent) -> None:
    await sessions.turns.finish([question], answered(question))


async def spoil(store: Store, statement: str, *values: object) -> None:
    await store.write(lambda db: db.execute(statement, values).rowcount)
