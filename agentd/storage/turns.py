"""How turns ended, in `agentd.db`: one row for each, written together with the messages of the turn."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from agentd.errors import UsageError
from agentd.events import InboundEvent, OutboundEvent, decode, encode, fault_of
from agentd.ids import following
from agentd.ports.clock import Clock
from agentd.ports.turns import FinishedTurn
from agentd.records import Address, Principal
from agentd.storage import branches
from agentd.storage.history import remember
from agentd.storage.store import Store
from agentd.storage.values import as_stored, as_text

log = logging.getLogger(__name__)

TURNS_KEPT = timedelta(days=8)
"""Minimum time that a turn's row is kept: longer than any platform or client offers a message again."""
PURGED_AT_ONCE = 1000


class TurnRecords:
    """Implements `ports.EndedTurns`; raises `StateError` or `Busy` as `Store` does."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def finish(self, inbounds: Sequence[InboundEvent], outbound: OutboundEvent) -> None:
        document, now = encode(outbound).decode(), as_stored(self._clock.now())
        asked = {inbound.turn_id: inbound for inbound in inbounds}

        def finish(db: sqlite3.Connection) -> None:
            ended = [turn for turn in asked if _end(db, turn, asked[turn], outbound, document, now)]
            if not asked and not _end(db, outbound.turn_id, None, outbound, document, now):
                return
            said = [asked[turn] for turn in ended if asked[turn].kind == "message"]
            if (said or not asked) and outbound.outcome != "calls":  # what comes of them is asked with the question
                remember(db, said, outbound, now)

        await self._store.write(finish)

    async def make_way(self, inbound: InboundEvent) -> None:
        def make_way(db: sqlite3.Connection) -> None:
            before = branches.parent_of(db, inbound.session_id, inbound.replaces)
            if before is not None:
                branches.show(db, inbound.session_id, before)

        await self._store.write(make_way)

    async def finished(self, turn_id: str) -> OutboundEvent | None:
        def find(db: sqlite3.Connection) -> OutboundEvent | None:
            row = db.execute("SELECT outbound_json FROM turns WHERE turn_id = ?", (turn_id,)).fetchone()
            return None if row is None else _outbound(turn_id, row[0])

        return await self._store.read(find)

    async def by_dedupe_key(self, key: str) -> FinishedTurn | None:
        def find(db: sqlite3.Connection) -> FinishedTurn | None:
            row = db.execute(
                "SELECT turn_id, session_id, content_digest, outbound_json FROM turns WHERE dedupe_key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            turn_id, session_id, content, document = row
            outbound = _outbound(turn_id, document) or _unreadable(turn_id, session_id, self._clock.now())
            return FinishedTurn(turn_id=turn_id, session_id=session_id, content_digest=content, outbound=outbound)

        return await self._store.read(find)

    async def reopen(self, inbound: InboundEvent) -> None:
        def reopen(db: sqlite3.Connection) -> None:
            again = "SELECT turn_id FROM turns WHERE dedupe_key = ? AND turn_id != ?"
            if other := db.execute(again, (inbound.dedupe_key, inbound.turn_id)).fetchone():
                raise UsageError(f"the same message came again, and {other[0]} answered it; drop this one.")
            db.execute("DELETE FROM turns WHERE turn_id = ?", (inbound.turn_id,))

        await self._store.write(reopen)

    async def purge(self, older_than: timedelta = TURNS_KEPT) -> int:
        """`older_than` is at least `TURNS_KEPT`."""
        if older_than < TURNS_KEPT:
            raise ValueError(f"turns are kept for {TURNS_KEPT.days} days at least")
        before, purged = as_stored(self._clock.now() - older_than), 0
        while True:
            # In small steps, so that turns that end meanwhile need not wait for all of it.
            step = await self._store.write(
                lambda db: (
                    db.execute(
                        "DELETE FROM turns WHERE turn_id IN (SELECT turn_id FROM turns WHERE ended < ? LIMIT ?)",
                        (before, PURGED_AT_ONCE),
                    ).rowcount
                )
            )
            purged += step
            if step < PURGED_AT_ONCE:
                return purged


def _outbound(turn_id: str, document: object) -> OutboundEvent | None:
    """The stored answer of a turn; None if it can no longer be read."""
    try:
        event = decode(as_text(document).encode())
    except ValidationError as error:
        log.error("the answer of turn %s in agentd.db is damaged: %s", turn_id, fault_of(error))
        return None
    if not isinstance(event, OutboundEvent):
        log.error("the answer of turn %s in agentd.db is damaged: it is of type %s", turn_id, event.type)
        return None
    return event


def _unreadable(turn_id: str, session_id: str, now: datetime) -> OutboundEvent:
    """The answer to a message that was answered before, if the stored answer can no longer be read."""
    return OutboundEvent(
        id=following(turn_id),
        time=now,
        turn_id=turn_id,
        session_id=session_id,
        principal=Principal(kind="chat", id=session_id),
        address=Address(channel="", chat=session_id),
        answers=(turn_id,),
        outcome="error",
        text="This message was answered, but its answer in agentd.db is damaged; ask once more.",
        error_code="damaged",
    )


def _end(
    db: sqlite3.Connection,
    turn_id: str,
    inbound: InboundEvent | None,
    outbound: OutboundEvent,
    document: str,
    now: str,
) -> bool:
    """Record how a turn ended; False if that is recorded already."""
    cursor = db.execute(
        "INSERT INTO turns (turn_id, dedupe_key, content_digest, session_id, state, outbound_id, outbound_json,"
        " created, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (turn_id) DO NOTHING",
        (
            turn_id,
            inbound.dedupe_key if inbound else None,
            inbound.content_digest if inbound else "",
            outbound.session_id,
            outbound.outcome,
            outbound.id,
            document,
            as_stored(inbound.time if inbound else outbound.time),
            now,
        ),
    )
    return cursor.rowcount == 1
