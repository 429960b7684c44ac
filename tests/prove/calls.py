"""kill -9 at each step of a turn that calls tools: a call that changes something runs once at most.

Each round is one turn of three calls. Its process is killed at the n-th operation on the disk or of a tool, for each n,
and so may be the one that goes on; then one lives to the end. What the calls changed is in a file that outlives them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

from agentd.bus.bus import EventBus, Reader
from agentd.clock import SystemClock
from agentd.events import Event, OutboundEvent, ToolCallApproved, TurnWaiting
from agentd.host.files import Files, OsFiles
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.pending.log import lines_of, steps_of
from agentd.ports.generation import Delta, Limits, ModelRequest, Sampling
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.model import ScriptedModel, calls, results_of, says
from agentd.testing.tools import Notes
from agentd.turns.chronicle import Chronicle
from agentd.turns.conversation import Conversations
from agentd.turns.execution import UNKNOWN
from agentd.turns.factory import TurnFactory
from agentd.turns.settings import TurnSettings
from agentd.turns.state import rebuilt
from agentd.turns.turn import Answerers
from agentd.turns.window import Memory
from tests.builders import inbound
from tests.fakes import ListedDocuments, prepared_from
from tests.prove.lives import Life
from tests.prove.result import Result, say
from tests.prove.told import Tell
from workers.agent import AgentWorker, Ledger

TEXTS = ("one", "two", "three")
FAR = datetime(2100, 1, 1, tzinfo=UTC)
NEVER = 1_000_000
OPERATIONS = 250
"""About so many has a turn."""
SECONDS = 60.0
TWICE = 0.5
"""Share of the rounds in which the process that goes on is killed, too."""
SETTINGS = TurnSettings(prompt_tokens=2000, sampling=Sampling(), limits=Limits())


def noting(request: ModelRequest) -> Iterable[Delta | Exception]:
    """Two calls at once, then one more, then the end."""
    done = len(results_of(request))
    wanted = {0: TEXTS[:2], 2: TEXTS[2:]}.get(done)
    return says("Done.") if wanted is None else calls(*(("note", f'{{"text": "{text}"}}') for text in wanted))


class Death:
    """Kills the process before the operation number `at`."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._numbers = count(1)
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            if next(self._numbers) == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


class DyingFiles:
    """Every operation of `OsFiles` is one at which the process may die."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._files = OsFiles()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._files, name)

        def called(*arguments: Any, **named: Any) -> Any:
            self._death.step()
            return operation(*arguments, **named)

        return called


class DyingNotes(Notes):
    """Notes in a file, and the process may die before, in between and after; it waits for a decision if it is told."""

    def __init__(self, path: Path, death: Death, until: datetime | None) -> None:
        super().__init__(self._append, until=until)
        self._path = path
        self._death = death

    def _append(self, text: str) -> None:
        self._death.step()
        with self._path.open("a") as file:
            file.write(f"{text}\n")
        self._death.step()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one turn lives, through all its processes."""

    folder: Path
    turn_id: str
    waits: bool

    @property
    def noted(self) -> Path:
        return self.folder / "noted"

    async def live(self, tell: Tell, at: int) -> None:
        """One process, which dies at that operation if it comes so far. It asks, approves what waits, tells the end."""
        death, clock = Death(at), SystemClock()
        files = cast(Files, DyingFiles(death))
        tool = DyingNotes(self.noted, death, FAR if self.waits else None)
        async with (
            asyncio.timeout(SECONDS),
            PendingDirectory(self.folder / "state", files, threads=2, min_free_bytes=0) as pending,
            Store(self.folder / "agentd.db", load_migrations("agentd.storage"), on_commit=death.step) as store,
        ):
            conversations = Conversations()
            bus = EventBus(pending, [conversations.apply])
            told = bus.subscribe(TurnWaiting, OutboundEvent, name="the person")
            ledger = Ledger(pending, TurnRecords(store, clock), bus, clock, {"test"})
            turns = turn_factory(pending, store, bus, tool)
            worker = AgentWorker(bus, conversations, ledger, turns, clock=clock, concurrency=1)
            known = await pending.find(self.turn_id)
            running = asyncio.create_task(worker.run(), name="agent worker")
            if known is None:
                await bus.publish(inbound("note", id=self.turn_id))
            if known is None or not known.outbound_id:
                await answered(bus, told)
            running.cancel()
            await asyncio.wait([running])
            answer = await pending.load(self.turn_id)
            assert isinstance(answer, OutboundEvent)
            tell({"outcome": answer.outcome, "text": answer.text})

    def codes(self) -> dict[str, str]:
        """What became of each call, "" if it succeeded, by its text; from the log, which lies there until the ack."""
        path = self.folder / "state" / "pending" / f"{self.turn_id}.log"
        lines = lines_of((path.read_bytes(),), self.turn_id)
        made = [call for each in rebuilt(steps_of(lines)).rounds for call in each.calls]
        return {json.loads(call.arguments)["text"]: call.code if call.result else "not over" for call in made}

    def lines(self) -> Counter[str]:
        return Counter(self.noted.read_text().split()) if self.noted.exists() else Counter()


def turn_factory(pending: PendingDirectory, store: Store, bus: EventBus, tool: DyingNotes) -> TurnFactory:
    ids, clock = IdSource(), SystemClock()
    sessions = Sessions(store, ids, clock)
    return TurnFactory(
        chronicle=Chronicle(bus, pending, ids, clock),
        preparation=prepared_from(ListedDocuments(), sessions),
        memory=Memory(history=sessions),
        answerers=Answerers(model=ScriptedModel(noting, tools=True)),
        settings=SETTINGS,
        tools={tool.name: tool},
    )


async def answered(bus: EventBus, told: Reader[Event]) -> None:
    """Approve whatever waits until the answer is there."""
    async for event in told:
        if isinstance(event, OutboundEvent):
            return
        if isinstance(event, TurnWaiting):
            turn = {"turn_id": event.turn_id, "session_id": event.session_id}
            await bus.publish(ToolCallApproved(**turn, call_id=event.call_id, by="the owner"))


class Rounds:
    """One turn after the other; `totals` count what came of them, `wrong` is what must not be."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._folder = folder
        self._rng = rng
        self._numbers = count()
        self._ids = IdSource()
        self.totals: Counter[str] = Counter()
        self.wrong: list[str] = []

    def round(self, at: int, *, waits: bool) -> bool:
        """One turn whose first process dies at this operation; False if it lived to the end."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        place = Place(folder, self._ids.next(), waits)
        died = first = self._lives(place, at)
        if died and self._rng.random() < TWICE:
            died = self._lives(place, self._rng.randint(1, at + 40))
        if died:
            died = self._lives(place, NEVER)
        if died:
            self.wrong.append(f"the turn {place.turn_id} did not end: {died}")
        else:
            self._judge(place, at)
        shutil.rmtree(folder)
        return bool(first)

    def _lives(self, place: Place, at: int) -> str:
        """How the process ended before the turn did; "" if it did not."""
        life = Life(lambda tell: place.live(tell, at))
        told = list(life.rest())
        code = life.end()
        self.totals["kills"] += code == -signal.SIGKILL
        if code == 0 and told and told[-1].get("outcome") == "answer":
            return ""
        return "killed" if code == -signal.SIGKILL else f"exit code {code}, {told}"

    def _judge(self, place: Place, at: int) -> None:
        lines, codes = place.lines(), place.codes()
        self.totals["calls with side effects"] += sum(lines.values())
        self.totals["outcomes unknown"] += sum(code == UNKNOWN for code in codes.values())
        self.totals["turns answered"] += 1
        for text in TEXTS:
            where = f"the call {text!r} of a turn that died at operation {at}"
            if lines[text] > 1:
                self.totals["run twice"] += 1
                self.wrong.append(f"{where} ran {lines[text]} times")
            if (code := codes.get(text, "never made")) not in ("", UNKNOWN) or (not lines[text] and code != UNKNOWN):
                self.totals["told wrongly"] += 1
                self.wrong.append(f"{where} ran {lines[text]} times, and was told as {code!r}")


def run(*, kills: int, seed: int) -> Result:
    """Every operation once, with and without a wait; then operations at random."""
    result = Result(part="calls")
    with tempfile.TemporaryDirectory(prefix="agentd-calls-") as folder:
        rounds = Rounds(Path(folder), random.Random(seed))
        ends = {waits: _every(rounds, kills, waits=waits) for waits in (False, True)}
        chance = random.Random(seed)
        while rounds.totals["kills"] < kills and not rounds.wrong:
            waits = chance.random() < 0.5
            rounds.round(chance.randint(1, ends[waits]), waits=waits)
    shown = ("kills", "calls with side effects", "run twice", "told wrongly", "outcomes unknown", "turns answered")
    result.counts = {name: rounds.totals[name] for name in shown}
    result.violations = rounds.wrong
    return result.end()


def _every(rounds: Rounds, kills: int, *, waits: bool) -> int:
    """How many operations a turn has. If fewer kills are wanted than it has, some are left out."""
    step = max(1, 2 * OPERATIONS // kills)
    for at in count(1, step):
        if not rounds.round(at, waits=waits):
            say("calls", {"operations": at, "kills": rounds.totals["kills"]})
            return at
    raise AssertionError("count does not end")
