"""What is pending and what is dead, and what the owner decides about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import AgentdError, NotFound, UsageError
from agentd.events import InboundEvent, OutboundEvent, Reopened
from agentd.host.holding import Holding
from agentd.host.lock import StateLock
from agentd.ids import time_of
from agentd.pending import PendingDirectory
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.letters import Decided, Letter, LetterCounts, LetterList, LetterShown
from agentd.ports.turns import EndedTurns
from agentd.ports.work import DeadLetter, PendingTurn, Unfinished
from agentd.records import OWNER, Principal
from agentd.rights import require
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords

AT_ONCE = 64
"""Dead letters that are retried or dropped in parallel."""
MOST = 1000
"""Dead letters that one request retries or drops; it says whether there are more."""

NO_SUCH = "nothing that is pending or dead has the id {}; `agentd delivery list` shows all ids."


class Letters:
    """What the owner may ask and decide; `UsageError` for anybody else. What is pending again is told on the bus.

    `retry` and `drop` mean the dead letters of these ids, or, without any, those that were given up at least
    `older_than` seconds ago.

    A question that came over other `channels` than these is left to a process that runs those. `holding` is that of
    the inbox, so that a message is not offered anew while its question is taken back.
    """

    def __init__(
        self,
        pending: Unfinished,
        turns: EndedTurns,
        *,
        bus: Bus,
        clock: Clock,
        holding: Holding,
        channels: Collection[str],
    ) -> None:
        self._pending = pending
        self._turns = turns
        self._bus = bus
        self._clock = clock
        self._holding = holding
        self._channels = channels

    # --- looking ---

    async def letters(self, principal: Principal, *, limit: int = 200) -> LetterList:
        require(principal, "letters")
        first, counts, dead = (
            await self._pending.oldest(limit),
            await self._pending.counts(),
            await self._pending.dead(),
        )
        return LetterList(
            pending=tuple(map(self._waiting, first)),
            dead=tuple(map(self._dead, dead[:limit])),
            counts=LetterCounts(pending=counts.unanswered + counts.undelivered, dead=len(dead)),
        )

    async def letter(self, principal: Principal, wanted: str) -> LetterShown:
        require(principal, "letters")
        turn = await self._pending.find(wanted)
        if turn is not None:
            return await self._shown(self._waiting(turn), turn.id, await self._pending.load(turn.id))
        for letter in await self._pending.dead():
            if wanted in (letter.id, letter.turn_id):
                return await self._shown(self._dead(letter), letter.id, await self._pending.dead_event(letter.id))
        raise NotFound(NO_SUCH.format(wanted))

    async def _shown(self, letter: Letter, name: str, event: InboundEvent | OutboundEvent) -> LetterShown:
        noted = await self._pending.noted(name)
        log = tuple(shown for line in noted for shown in _lines(line))
        return LetterShown(letter=letter, event=event.model_dump(mode="json"), log=log)

    def _waiting(self, turn: PendingTurn) -> Letter:
        event_id = turn.outbound_id or turn.id
        until = turn.not_before
        return Letter(
            id=event_id,
            state="pending",
            kind="outbound" if turn.outbound_id else "inbound",
            turn=turn.id,
            session=turn.session_id,
            address=turn.address,
            age=self._age(turn.retried or datetime.fromtimestamp(time_of(event_id), UTC)),
            attempts=turn.attempts if turn.outbound_id else turn.starts,
            next_try=until if until is not None and until > self._clock.now() else None,
            error=turn.last_error,
        )

    def _dead(self, letter: DeadLetter) -> Letter:
        return Letter(
            id=letter.id,
            state="dead",
            kind=letter.kind,
            turn=letter.turn_id,
            session=letter.session_id,
            address=letter.address,
            age=self._age(datetime.fromtimestamp(time_of(letter.id), UTC)),
            attempts=letter.attempts,
            error=letter.reason,
            dead_age=None if letter.time is None else self._age(letter.time),
        )

    def _age(self, time: datetime) -> float:
        return max(0.0, (self._clock.now() - time).total_seconds())

    # --- deciding ---

    async def retry(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        require(principal, "letters")
        return await self._each(self._retry, ids, older_than)

    async def drop(self, principal: Principal, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        require(principal, "letters")
        return await self._each(self._pending.drop, ids, older_than)

    async def _each(
        self, act: Callable[[str], Awaitable[None]], ids: Sequence[str], older_than: float | None
    ) -> Decided:
        if not ids and older_than is None:
            raise UsageError("name the dead letters by their ids, or say how old they must be.")
        wanted = list(dict.fromkeys(ids)) or await self._given_up_before(older_than or 0.0)
        done: list[str] = []
        failed: dict[str, str] = {}

        async def one(dead_id: str) -> None:
            try:
                await act(dead_id)
                done.append(dead_id)
            except AgentdError as error:
                failed[dead_id] = str(error)

        for start in range(0, min(len(wanted), MOST), AT_ONCE):
            await asyncio.gather(*map(one, wanted[start : min(start + AT_ONCE, MOST)]))
        return Decided(done=tuple(sorted(done)), failed=failed, more=len(wanted) > MOST)

    async def _given_up_before(self, age: float) -> list[str]:
        """Dead letters that were given up so long ago; if that is not known, their own age counts."""
        letters = map(self._dead, await self._pending.dead())
        return [letter.id for letter in letters if (letter.age if letter.dead_age is None else letter.dead_age) >= age]

    async def _retry(self, dead_id: str) -> None:
        """What is pending again must not miss its worker, nor its message be offered while it is taken back."""
        event = await self._pending.dead_event(dead_id)
        key = event.dedupe_key if isinstance(event, InboundEvent) else event.id
        await self._holding.run(key, lambda: self._take_back(dead_id, event))

    async def _take_back(self, dead_id: str, event: InboundEvent | OutboundEvent) -> None:
        if isinstance(event, InboundEvent):
            await self._refuse_repeat(event)
            # First, so that after a crash in between it is dead still, and its repetition a turn like any other.
            await self._turns.reopen(event)
        await self._pending.retry(dead_id)
        if isinstance(event, OutboundEvent):
            reopened = Reopened(turn_id=event.turn_id, session_id=event.session_id, outbound_id=event.id)
            self._bus.announce(reopened)
        elif event.address.channel in self._channels:
            self._bus.announce(event)

    async def _refuse_repeat(self, event: InboundEvent) -> None:
        turn = await self._pending.by_key(event.dedupe_key)
        if turn is not None and turn.id != event.id:
            raise UsageError(f"the same message came again and is pending as {turn.id}; drop this one.")


class OwnersLetters:
    """The letters for somebody who may open the state directory, and so is its owner."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters

    async def letters(self, *, limit: int = 200) -> LetterList:
        return await self._letters.letters(OWNER, limit=limit)

    async def letter(self, wanted: str) -> LetterShown:
        return await self._letters.letter(OWNER, wanted)

    async def retry(self, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._letters.retry(OWNER, ids, older_than=older_than)

    async def drop(self, ids: Sequence[str] = (), *, older_than: float | None = None) -> Decided:
        return await self._letters.drop(OWNER, ids, older_than=older_than)


_TOLD = ("call_id", "tool", "what", "until", "by", "reason", "code", "error")
"""What is shown of a step; texts that others wrote are not."""


def _lines(line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line of the log as it is shown: a line for each step of the turn."""
    if line["line"] != "steps":
        yield {key: value for key, value in line.items() if key not in ("of", "sum")}
        return
    for step in line["events"]:
        yield {"line": step["type"], **{key: step[key] for key in _TOLD if step.get(key)}}


@asynccontextmanager
async def letters_at_rest(state_dir: Path, *, allow_network_fs: bool = False) -> AsyncIterator[OwnersLetters]:
    """The letters of a state directory that no daemon uses. Nothing is answered and nothing delivered meanwhile.

    Raises `StateInUse` if a daemon runs, `StateError` and `NewerVersion` as a start of the daemon does.
    """
    clock = SystemClock()
    with StateLock(state_dir):
        async with (
            PendingDirectory(state_dir, clock=clock, allow_network_fs=allow_network_fs) as pending,
            Store(state_dir / "agentd.db", load_migrations("agentd.storage")) as store,
        ):
            await pending.tell_lost()
            turns, nobody = TurnRecords(store, clock), EventBus(pending)
            letters = Letters(pending, turns, bus=nobody, clock=clock, holding=Holding(), channels=())
            yield OwnersLetters(letters)
