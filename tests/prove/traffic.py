"""Traffic on the pending directory: sessions side by side, each of which takes random steps with its own turns."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

from agentd.events import InboundEvent, OutboundEvent
from tests.builders import inbound, outbound
from tests.prove.told import Told
from tests.unfinished import unfinished

LANES = 6
MOST_OPEN = 4
"""Turns that a session has unfinished at once."""
SIZES = (10, 200, 3_000, 30_000)
"""Lengths of texts in characters: within a page and over several."""


async def run(told: Told, seed: int, steps: int) -> None:
    """So many steps in each session, also with the turns that an earlier process left."""
    async with asyncio.TaskGroup() as group:
        for lane in range(LANES):
            rng = random.Random(f"{seed} {lane}")
            group.create_task(_Lane(told, lane, rng).run(steps), name=f"lane {lane}")


class _Lane:
    def __init__(self, told: Told, lane: int, rng: random.Random) -> None:
        self._told = told
        self._session = f"{lane + 1:016x}-00000000"
        self._rng = rng

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await self._step()

    async def _step(self) -> None:
        mine = [e.id for e in (await unfinished(self._told.pending)).values() if e.session_id == self._session]
        chance = self._rng.random()
        if chance < 0.03 and await self._revive():
            return
        if not mine or (len(mine) < MOST_OPEN and chance < 0.3):
            question = inbound(self._text(), id=self._told.ids.next(), session_id=self._session, time=datetime.now(UTC))
            await self._told.accept(question)
            return
        name = self._rng.choice(mine)
        event = await self._told.pending.load(name)
        if isinstance(event, InboundEvent):
            await self._answer(event, mine)
        else:
            await self._deliver(event, name)

    async def _revive(self) -> bool:
        """A person decides about a dead letter."""
        letters = [letter for letter in await self._told.pending.dead() if letter.session_id == self._session]
        if not letters:
            return False
        letter = self._rng.choice(letters)
        decide = self._told.retry if self._rng.random() < 0.5 else self._told.drop
        await decide(letter.turn_id, letter.id)
        return True

    async def _answer(self, event: InboundEvent, mine: list[str]) -> None:
        known = None if self._told.turns is None else await self._told.turns.finished(event.id)
        if known is not None:
            await self._told.answer(known)
            return
        if not (await unfinished(self._told.pending))[event.id].starts:
            await self._told.started(event.id)
            return
        chance = self._rng.random()
        if chance < 0.05:
            notice = self._made(event, "it was put aside", answers=())
            await self._told.bury(event.id, notice)
            return
        asked = [event, *(await self._another(event, mine) if chance < 0.25 else [])]
        answer = self._made(event, self._text(), answers=tuple(e.id for e in asked))
        await self._told.finish(asked, answer)
        await self._told.answer(answer)

    async def _another(self, event: InboundEvent, mine: list[str]) -> list[InboundEvent]:
        """A second question that can be answered together with this one."""
        for name in mine:
            other = await self._told.pending.load(name)
            if name != event.id and isinstance(other, InboundEvent) and not await self._has_ended(name):
                return [other]
        return []

    async def _has_ended(self, name: str) -> bool:
        return self._told.turns is not None and await self._told.turns.finished(name) is not None

    def _made(self, event: InboundEvent, text: str, *, answers: tuple[str, ...]) -> OutboundEvent:
        return outbound(event, text, id=self._told.ids.next(), answers=answers, time=datetime.now(UTC))

    async def _deliver(self, event: OutboundEvent, name: str) -> None:
        turn = (await unfinished(self._told.pending))[name]
        chance = self._rng.random()
        if not turn.sending:
            await self._told.sending(name, [event.text[:100], event.text[100:]])
        elif chance < 0.1:
            await self._told.defer(name, turn.attempts + 1, uncertain=self._rng.random() < 0.5)
        elif chance < 0.15 and event.answers:
            await self._told.bury(name)
        elif turn.parts_done < len(turn.parts):
            await self._told.part(name, turn.parts_done)
        else:
            await self._told.ack(name)

    def _text(self) -> str:
        return f"{self._rng.getrandbits(64):x} " * max(1, self._rng.choice(SIZES) // 17)
