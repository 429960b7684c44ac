"""The pending directory and the record of ended turns, used by a process that tells each move before and after it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from agentd.clock import SystemClock
from agentd.errors import AgentdError
from agentd.events import InboundEvent, OutboundEvent, encode
from agentd.host.files import Files
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.ports.work import PendingTurn
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from tests.builders import TIME
from tests.prove.world import Item
from tests.unfinished import unfinished

Durable = InboundEvent | OutboundEvent
Tell = Callable[[dict[str, Any]], None]


def digest(data: bytes) -> str:
    return hashlib.sha256(data, usedforsecurity=False).hexdigest()[:24]


def teller(fd: int) -> Tell:
    """Writes each line whole into a pipe whose other end outlives this process."""

    def tell(line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(fd, data) :]

    return tell


class Told:
    """Makes moves on the real parts; without `turns` there is no record of ended turns."""

    def __init__(self, pending: PendingDirectory, turns: TurnRecords | None, ids: IdSource, tell: Tell) -> None:
        self.pending = pending
        self.turns = turns
        self.ids = ids
        self._tell = tell
        self._numbers = count()

    async def _move(self, make: Callable[[], Awaitable[object]], op: str, keys: Sequence[str], **fields: Any) -> None:
        number = next(self._numbers)
        self._tell({"begin": number, "op": op, "keys": list(keys), **fields})
        try:
            await make()
        except AgentdError:
            self._tell({"refused": number})
            raise
        self._tell({"done": number})

    async def accept(self, event: InboundEvent) -> None:
        await self._move(lambda: self.pending.accept(event), "accept", [event.id], digest=digest(encode(event)))

    async def started(self, name: str) -> None:
        await self._move(lambda: self.pending.started(name, alone=False), "started", [name])

    async def finish(self, asked: Sequence[InboundEvent], answer: OutboundEvent) -> None:
        turns = self.turns
        if turns is not None:
            keys = [f"row {event.id}" for event in asked]
            await self._move(lambda: turns.finish(asked, answer), "finish", keys, digest=digest(encode(answer)))

    async def answer(self, event: OutboundEvent) -> None:
        keys = dict.fromkeys((event.turn_id, *event.answers))
        await self._move(lambda: self.pending.answer(event), "answer", list(keys), digest=digest(encode(event)))

    async def sending(self, name: str, parts: Sequence[str]) -> None:
        await self._move(lambda: self.pending.sending(name, parts), "sending", [name], parts=digest_of(parts))

    async def part(self, name: str, n: int) -> None:
        await self._move(lambda: self.pending.part_done(name, n), "part", [name], n=n)

    async def defer(self, name: str, attempt: int, *, uncertain: bool = False) -> None:
        def deferring() -> Awaitable[object]:
            return self.pending.defer(name, until=TIME, attempt=attempt, error="timeout", uncertain=uncertain)

        await self._move(deferring, "defer", [name], attempt=attempt, uncertain=uncertain)

    async def ack(self, name: str) -> None:
        await self._move(lambda: self.pending.ack(name), "ack", [name])

    async def bury(self, name: str, notice: OutboundEvent | None = None) -> None:
        fields = {} if notice is None else {"notice": notice.id, "notice_digest": digest(encode(notice))}
        await self._move(lambda: self.pending.bury(name, "the platform said no", notice), "bury", [name], **fields)

    async def retry(self, name: str, dead_id: str) -> None:
        await self._move(lambda: self.pending.retry(dead_id), "retry", [name])

    async def drop(self, name: str, dead_id: str) -> None:
        await self._move(lambda: self.pending.drop(dead_id), "drop", [name])


def digest_of(parts: Sequence[str]) -> str:
    return digest("\x1f".join(parts).encode()) if parts else ""


@asynccontextmanager
async def opened(
    state_dir: Path, tell: Tell, *, files: Files | None = None, rows: bool = True, threads: int = 32
) -> AsyncIterator[Told]:
    """A start: recover, tell what was found, and be ready for moves."""
    ids = IdSource()
    pending = PendingDirectory(state_dir, files, threads=threads, min_free_bytes=0)
    async with pending:
        ids.seen(pending.last_id)
        if not rows:
            tell({"found": await found_in(pending, None), "aside": len(pending.aside)})
            yield Told(pending, None, ids, tell)
            return
        async with Store(state_dir / "agentd.db", load_migrations("agentd.storage")) as store:
            sessions = Sessions(store, ids, SystemClock())
            ids.seen(await sessions.last_id())
            tell({"found": await found_in(pending, store), "aside": len(pending.aside)})
            yield Told(pending, TurnRecords(store, SystemClock()), ids, tell)


async def found_in(pending: PendingDirectory, store: Store | None) -> dict[str, dict[str, Any]]:
    """All that is there, in the form of `world.Found`."""
    turns = await unfinished(pending)
    events = await asyncio.gather(*(pending.load(name) for name in turns))
    found = {name: _item(turns[name], event) for name, event in zip(turns, events, strict=True)}
    for letter in await pending.dead():
        event = await pending.dead_event(letter.id)
        key = letter.turn_id if letter.turn_id not in found else f"{letter.turn_id} in two places"
        found[key] = Item(where="dead", digest=digest(encode(event)))
    if store is not None:
        query = "SELECT turn_id, outbound_json FROM turns"
        for turn_id, document in await store.read(lambda db: db.execute(query).fetchall()):
            found[f"row {turn_id}"] = Item(where="row", digest=digest(document.encode()))
    return {key: asdict(item) for key, item in found.items()}


def _item(turn: PendingTurn, event: Durable) -> Item:
    return Item(
        where="pending",
        digest=digest(encode(event)),
        starts=turn.starts,
        sending=turn.sending,
        parts=digest_of(turn.parts),
        parts_done=turn.parts_done,
        attempts=turn.attempts,
    )
