"""Random lives of the real pending directory, against a model that knows only what was promised.

`PROPERTY_EXAMPLES` lives are tried; hypothesis prints the shortest one that breaks a promise.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentd.errors import AgentdError, NotAccepted
from agentd.events import InboundEvent, OutboundEvent
from agentd.host.files import read_all
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.ports.work import PendingTurn
from agentd.testing.clock import FakeClock
from agentd.testing.files import SimFiles
from tests.builders import inbound, outbound
from tests.prove.told import Told, found_in
from tests.prove.world import Item, World
from tests.unfinished import unfinished

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "25"))
STATE = "/state"
DAY = 24 * 3600.0
PLENTY = 1 << 40
MIN_FREE = 1 << 20

choice = st.integers(0, 1000)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of files are refused and set aside here."""
    caplog.set_level(logging.CRITICAL, logger="agentd")


class Lives(RuleBasedStateMachine):
    """One directory through moves, crashes, a full disk and a wrong clock; `World` holds what was promised."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.files = SimFiles()
        self.world = World(refusals_are_clean=True)
        self.clock = FakeClock()
        self.full = False
        self.made = 0
        self.stack: AsyncExitStack
        self.pending: PendingDirectory
        self.told: Told

    # --- starting and ending ---

    @initialize()
    def start(self) -> None:
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        files, clock = self.files, self.clock
        pending = PendingDirectory(Path(STATE), files, clock=clock, threads=2, min_free_bytes=MIN_FREE)
        self.pending = await self.stack.enter_async_context(pending)
        ids = IdSource(lambda: int(clock.now().timestamp() * 1e9))
        ids.seen(self.pending.last_id)
        self.told = Told(self.pending, None, ids, self.world.told)
        assert not self.world.check(await self._found()), "the start found something else than was promised"

    async def _found(self) -> dict[str, Item]:
        return {key: Item(**fields) for key, fields in (await found_in(self.pending, None)).items()}

    def _turns(self) -> dict[str, PendingTurn]:
        return self.runner.run(unfinished(self.pending))

    def _crash(self, left: SimFiles) -> None:
        self.runner.run(self.stack.aclose())
        self.files, self.full = left, False
        self.files.free = PLENTY
        self.runner.run(self._open())

    def teardown(self) -> None:
        """Every life ends with one more start, so that what was done last is looked at as well."""
        if hasattr(self, "told"):
            self._crash(self.files.killed())
            self.runner.run(self.stack.aclose())
        self.runner.close()

    # --- moves ---

    def _move(self, move: Awaitable[Any]) -> bool:
        """Make it; it may be refused only by a full disk, with an error that a person can act on."""

        async def call() -> bool:
            try:
                await move
            except AgentdError as error:
                assert self.full, error
                assert "free some space" in str(error)
                return False
            return True

        return self.runner.run(call())

    def _pick(self, n: int, *, answered: bool) -> str:
        names = [e.id for e in self._turns().values() if bool(e.outbound_id) is answered]
        return names[n % len(names)] if names else ""

    def _load(self, name: str) -> InboundEvent | OutboundEvent:
        return self.runner.run(self.pending.load(name))

    @rule(sizes=st.lists(st.sampled_from([1, 100, 5000]), min_size=1, max_size=4))
    def accept(self, sizes: list[int]) -> None:
        for size in sizes:
            self._accept(size)

    @rule(steps=st.lists(choice, min_size=1, max_size=8))
    def work(self, steps: list[int]) -> None:
        """What comes next for some of the turns, in the usual order of things."""
        for n in steps:
            names = list(self._turns())
            if names:
                self._go_on(names[n % len(names)])

    def _go_on(self, name: str) -> None:
        turn = self._turns()[name]
        if not turn.outbound_id and not turn.starts:
            self._move(self.told.started(name))
        elif not turn.outbound_id:
            self._answer(name, name)
        elif not turn.sending:
            self._move(self.told.sending(name, ["one", "two"]))
        elif turn.parts_done < len(turn.parts):
            self._move(self.told.part(name, turn.parts_done))
        else:
            self._ack(name)

    def _accept(self, size: int) -> None:
        self.made += 1
        event = inbound(f"{self.made} " + "x" * size, id=self._next_id())
        taken = self._move(_refusing(self.told.accept(event)))
        assert taken is not self.full, "a full disk took a message"

    @rule(n=choice)
    def answer_two_at_once(self, n: int) -> None:
        if name := self._pick(n, answered=False):
            self._answer(name, self._pick(n + 1, answered=False))

    def _answer(self, name: str, other: str) -> None:
        asked, answers = self._load(name), tuple(dict.fromkeys((name, other)))
        assert isinstance(asked, InboundEvent)
        self._move(self.told.answer(outbound(asked, f"answer to {name}", id=self._next_id(), answers=answers)))

    def _next_id(self) -> str:
        """Greater than all that are there; without the random digits, so that a life can be repeated."""
        name = f"{self.told.ids.next()[:16]}-00000000"
        assert all(name > known for turn in self._turns().values() for known in (turn.id, turn.outbound_id))
        return name

    @rule(n=choice, parts=st.lists(st.text(max_size=20), max_size=4))
    def sending(self, n: int, parts: list[str]) -> None:
        if (name := self._pick(n, answered=True)) and not self._turns()[name].sending:
            self._move(self.told.sending(name, parts))

    @rule(n=choice, uncertain=st.booleans())
    def defer(self, n: int, uncertain: bool) -> None:
        if name := self._pick(n, answered=True):
            self._move(self.told.defer(name, self._turns()[name].attempts + 1, uncertain=uncertain))

    @rule(n=choice)
    def ack(self, n: int) -> None:
        if name := self._pick(n, answered=True):
            self._ack(name)

    def _ack(self, name: str) -> None:
        assert self._move(self.told.ack(name)), "an ack needs no space"

    @rule(n=choice, answered=st.booleans(), noticed=st.booleans())
    def bury(self, n: int, answered: bool, noticed: bool) -> None:
        if not (name := self._pick(n, answered=answered)):
            return
        event = self._load(name)
        if isinstance(event, OutboundEvent):
            if event.answers:
                self._move(self.told.bury(name))
        else:
            notice = outbound(event, "put aside", id=self._next_id(), answers=()) if noticed else None
            self._move(self.told.bury(name, notice))

    @rule(n=choice, again=st.booleans())
    def decide(self, n: int, again: bool) -> None:
        """A person retries or drops a dead letter."""
        letters = self.runner.run(self.pending.dead())
        if not letters:
            return
        letter = letters[n % len(letters)]
        if again:
            self._move(self.told.retry(letter.turn_id, letter.id))
        else:
            assert self._move(self.told.drop(letter.turn_id, letter.id)), "a drop needs no space"

    # --- what goes wrong ---

    @rule(seed=choice, kill=st.booleans())
    def crash(self, seed: int, kill: bool) -> None:
        """A process that is killed loses nothing; a power cut may take whatever is not synced."""
        if kill:
            self._crash(self.files.killed())
        else:
            states = list(self.files.power_cuts(random.Random(seed), 12))
            self._crash(states[seed % len(states)])

    @rule(days=st.sampled_from([-1, 1]))
    def set_the_clock(self, days: int) -> None:
        self.clock.set_back(-days * DAY)

    @precondition(lambda self: not self.full)
    @rule()
    def fill_the_disk(self) -> None:
        self.full, self.files.free = True, 0

        def refuse(name: str, path: str) -> int:
            return errno.ENOSPC if name in ("create", "write", "allocate") else 0

        self.files.fail = refuse

    @precondition(lambda self: self.full)
    @rule()
    def free_space(self) -> None:
        self.full, self.files.free = False, PLENTY
        self.files.fail = lambda name, path: 0

    @rule(size=st.sampled_from([0, 1, 7]))
    def write_short(self, size: int) -> None:
        self.files.short = size

    @precondition(lambda self: not self.full)
    @rule(n=choice, answered=st.booleans(), place=st.floats(0, 0.999))
    def corrupt(self, n: int, answered: bool, place: float) -> None:
        """One bit of a file flips; the next start sets it aside, and what it held is not made up."""
        if not (name := self._pick(n, answered=answered)):
            return
        path = f"{STATE}/pending/{name}.event"
        data = bytearray(read_all(self.files, path))
        data[int(len(data) * place)] ^= 1
        left = self.files.killed()
        left.unlink(path)
        fd = left.create(path)
        left.write(fd, bytes(data))
        left.close(fd)
        self.world.told({"begin": -1, "op": "drop", "keys": [name]})
        self.world.told({"done": -1})
        self._crash(left)
        assert f"{name}.event" in self.pending.aside

    # --- what always holds ---

    @invariant()
    def what_is_known_in_memory_is_what_was_promised(self) -> None:
        if hasattr(self, "told"):
            wrong = self.world.contradictions(self.runner.run(self._found()))
            assert not wrong, wrong
            assert list(names := self._turns()) == sorted(names)


async def _refusing(accepting: Awaitable[None]) -> None:
    """Any refusal of a message is `NotAccepted`, or its sender would not know."""
    try:
        await accepting
    except AgentdError as error:
        assert isinstance(error, NotAccepted)
        raise


# Finding the shortest life that fails takes a while.
TestRandomLives = pytest.mark.timeout(900)(Lives.TestCase)
TestRandomLives.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    database=None,
)


def test_a_model_that_expects_more_than_was_promised_is_contradicted() -> None:
    """The comparison can fail: an ack that the model is not told of is noticed."""
    lives = Lives()
    try:
        lives.start()
        lives.accept([1])
        lives.work([0, 0])
        (name,) = lives._turns()
        lives.runner.run(lives.pending.ack(name))
        try:
            lives.what_is_known_in_memory_is_what_was_promised()
        except AssertionError as error:
            assert name in str(error)
        else:
            raise AssertionError("a message that vanished was not missed")
    finally:
        lives.runner.run(lives.stack.aclose())
        lives.runner.close()
