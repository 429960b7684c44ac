"""Short ways to make the records that tests need; every argument that a test does not care about has a value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentd.events import GenerationChunk, InboundEvent, OutboundEvent
from agentd.ids import IdSource
from agentd.ports.channels import Offer
from agentd.records import OWNER, Address, Passage, Sender

IDS = IdSource()
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SESSION = "00000000000000aa-00000000"


def address(**changes: Any) -> Address:
    return Address(**{"channel": "test", "account": "a", "chat": SESSION, **changes})


def offer(text: str = "hello", **changes: Any) -> Offer:
    values: dict[str, Any] = {
        "principal": OWNER,
        "address": address(),
        "sender": Sender(id="1"),
        "session_id": SESSION,
        "message_id": IDS.next(),
        "text": text,
    }
    return Offer(**{**values, **changes})


def inbound(text: str = "hello", **changes: Any) -> InboundEvent:
    turn_id = changes.pop("id", None) or IDS.next()
    values: dict[str, Any] = {
        "id": turn_id,
        "time": TIME,
        "turn_id": turn_id,
        "session_id": SESSION,
        "principal": OWNER,
        "address": address(),
        "sender": Sender(id="1"),
        "message_id": f"m-{turn_id}",
        "dedupe_key": f"k-{turn_id}",
        "content_digest": "d",
        "text": text,
    }
    return InboundEvent(**{**values, **changes})


def outbound(of: InboundEvent | None = None, text: str = "hi", **changes: Any) -> OutboundEvent:
    of = of or inbound()
    values: dict[str, Any] = {
        "id": IDS.next(),
        "time": TIME,
        "turn_id": of.turn_id,
        "session_id": of.session_id,
        "principal": of.principal,
        "address": of.address,
        "answers": (of.turn_id,),
        "in_reply_to": of.message_id,
        "outcome": "answer",
        "text": text,
    }
    return OutboundEvent(**{**values, **changes})


def chunk(n: int, text: str, *, turn_id: str = "t", attempt: int = 1, reasoning: bool = False) -> GenerationChunk:
    return GenerationChunk(
        id=IDS.next(),
        time=TIME,
        turn_id=turn_id,
        session_id=SESSION,
        attempt=attempt,
        n=n,
        text=text,
        reasoning=reasoning,
    )


def passage(n: int = 1, text: str = "A message survives kill -9.", **changes: Any) -> Passage:
    values: dict[str, Any] = {
        "n": n,
        "title": "Durability",
        "source": "/docs/durability.md",
        "heading": "Crash",
        "start": 0,
        "end": len(text),
        "document_id": 1,
        "chunk_id": n,
        "text": text,
        "score": 1.0,
    }
    return Passage(**{**values, **changes})
