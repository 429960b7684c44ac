"""A script of moves on a file system in memory, watched at every operation for what a crash would leave."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agentd.errors import NotAccepted
from agentd.events import InboundEvent, OutboundEvent, ToolCallStarted
from agentd.host.files import read_all
from agentd.pending import log as pending_log
from agentd.pending.dead import DeadLetters
from agentd.pending.disk import Disk
from agentd.pending.file import encode_file, header_of
from agentd.pending.moves import Layout, Moves
from agentd.pending.recovery import recover
from agentd.ports.work import PendingTurn
from agentd.testing.crash import CrashExplorer, Violation
from agentd.testing.files import SimFiles
from tests.builders import IDS, TIME, inbound, outbound

LAYOUT = Layout("/state")
ATTEMPTS = 3
ASIDE = "set aside"
"""The name under which a world holds what recovery has set aside; it must not vanish, but nothing promises it."""
REASON = "the platform said no"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One event as a start finds it: its file, and what its log must not forget. `reason` is set where it is dead."""

    content: bytes
    starts: int = 0
    parts: tuple[str, ...] = ()
    parts_done: int = 0
    steps: tuple[str, ...] = ()
    """Ids of what the turn has done."""
    reason: str = ""


World = dict[str, Item]
"""What is pending and what is dead, by the name of the file."""


def start_up(files: SimFiles) -> World:
    """Recover, and say what there is."""
    found = recover(LAYOUT, files)
    if list(found.turns) != sorted(found.turns):
        raise Violation(f"not in the order of their ids: {list(found.turns)}")
    world = {
        name: item_of(turn, read_all(files, LAYOUT.event(name)), lines(files, LAYOUT.log(name), turn))
        for name, turn in found.turns.items()
    }
    dead = DeadLetters(LAYOUT, files)
    for letter in dead.all():
        turn = dead.reopened(letter.id, TIME)
        noted = lines(files, LAYOUT.dead_log(letter.id), turn)
        item = item_of(turn, read_all(files, LAYOUT.dead_event(letter.id)), noted)
        world[f"dead {letter.id}"] = replace(item, reason=letter.reason)
    aside = {read_all(files, f"{LAYOUT.corrupt}/{name}") for name in files.names(LAYOUT.corrupt)}
    return world | {ASIDE: Item(content=b"".join(sorted(aside)))}


def lines(files: SimFiles, path: str, turn: PendingTurn) -> list[pending_log.LogLine]:
    """What a log says about the event that this turn is about."""
    try:
        return list(pending_log.lines_of(files.blocks(path), pending_log.event_id_of(turn)))
    except FileNotFoundError:
        return []


def item_of(turn: PendingTurn, content: bytes, noted: Sequence[pending_log.LogLine]) -> Item:
    steps = tuple(step.id for step in pending_log.steps_of(noted))
    return Item(content=content, starts=turn.starts, parts=turn.parts, parts_done=turn.parts_done, steps=steps)


Changes = dict[str, Item | None]
Claim = list[Changes]
"""What a move that is under way may leave of the names that it changes."""


class Script:
    """Makes moves as the threads of the pending directory make them; `Violation` where a crash would break a promise.

    While a move is made, a crash may leave the world as it was before or as it is after; when it is made, only that.
    """

    def __init__(
        self, files: SimFiles, explorer: CrashExplorer[World], moves: type[Moves] = Moves, *, every: bool = True
    ) -> None:
        """`every` looks before every operation; otherwise only after a move that failed, and after each move."""
        self._files = files
        self._explorer = explorer
        self._moves = moves(LAYOUT, files, Disk(files, LAYOUT.pending, 0), recover(LAYOUT, files).logs)
        self._pending: dict[str, PendingTurn] = {}
        self._world: World = {}
        self._claims: list[Claim] = []
        self._switch: Callable[[], None] = _nothing
        if every:
            files.before = self._before

    def accept(self, event: InboundEvent | OutboundEvent) -> None:
        header = header_of(event)
        self._step(lambda: self._moves.accept(event), {header.name: Item(content=encode_file(event))})
        self._pending[header.name] = header.turn()

    def answer(self, event: OutboundEvent) -> None:
        after = {name: None for name in event.answers} | {event.turn_id: Item(content=encode_file(event))}
        self._step(lambda: self._moves.answer(event), after)
        self._pending[event.turn_id] = header_of(event).turn()

    def note(self, name: str, line_for: Callable[[PendingTurn], pending_log.LogLine], *, durable: bool = True) -> None:
        turn = self._pending[name]
        line = line_for(turn)
        after = pending_log.after(turn, [line])
        before = self._world[name]
        item = item_of(after, before.content, [line])
        item = replace(item, steps=(*before.steps, *item.steps))
        self._step(lambda: self._moves.append(turn, line, durable=durable), {name: item})
        self._pending[name] = after

    def ack(self, name: str) -> None:
        self._step(lambda: self._moves.ack(name), {name: None})

    def bury(self, name: str, notice: OutboundEvent | None = None) -> None:
        event_id = pending_log.event_id_of(self._pending[name])
        item = replace(self._world[name], reason=REASON, starts=0)
        after: Changes = {name: None, f"dead {event_id}": item}
        noted: Changes = {} if notice is None else {notice.id: Item(content=encode_file(notice))}
        self._step(
            lambda: self._moves.bury(name, event_id, REASON, TIME, notice, noticed=False),
            after | noted,
            between=noted,
        )
        if notice is not None:
            self._pending[notice.id] = header_of(notice).turn()

    def retry(self, dead_id: str) -> None:
        turn = DeadLetters(LAYOUT, self._files.killed()).reopened(dead_id, TIME)
        item = replace(self._world[f"dead {dead_id}"], reason="")
        self._step(lambda: self._moves.retry(dead_id, turn), {f"dead {dead_id}": None, turn.id: item})
        self._pending[turn.id] = turn

    def drop(self, dead_id: str) -> None:
        self._step(lambda: self._moves.drop(dead_id), {f"dead {dead_id}": None})

    def side_by_side(self, jobs: Sequence[Callable[[], None]], seed: int) -> None:
        """Run these at once; after every operation chance says whose turn it is."""
        interleaving = Interleaving(random.Random(seed))
        self._switch = interleaving.switch
        interleaving.run(jobs)
        self._switch = _nothing

    def _step(self, move: Callable[[], None], changes: Changes, between: Changes | None = None) -> None:
        before: Changes = {name: self._world.get(name) for name in changes}
        claim: Claim = [before, before | (between or {}), changes]
        self._claims.append(claim)
        for _ in range(ATTEMPTS):
            try:
                move()
                break
            except (OSError, NotAccepted):
                self._look()
        else:
            raise Violation(f"a move did not succeed in {ATTEMPTS} attempts")
        self._claims = [other for other in self._claims if other is not claim]
        self._world = {name: item for name, item in (self._world | changes).items() if item is not None}
        self._look()

    def _before(self) -> None:
        self._look()
        self._switch()

    def _look(self) -> None:
        for found in self._explorer.outcomes(self._files):
            rest = {name: item for name, item in found.items() if name != ASIDE}
            world = dict(self._world)
            for claim in self._claims:
                if {name: rest.pop(name, None) for name in claim[0]} not in claim:
                    raise self._violation(found)
                for name in claim[0]:
                    world.pop(name, None)
            if rest != world:
                raise self._violation(found)

    def _violation(self, found: World) -> Violation:
        last = self._files.operations[-1:]
        return Violation(f"a crash after {last} leaves\n{found}\nof\n{self._world}\nunder way:\n{self._claims}")


class Interleaving:
    """Runs jobs in threads of which one at a time goes on; `switch`, called by a job, says which is next."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turns: dict[threading.Thread, threading.Semaphore] = {}
        self._errors: list[BaseException] = []

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=self._job, args=(job,), daemon=True) for job in jobs]
        self._turns = {thread: threading.Semaphore(0) for thread in threads}
        for thread in threads:
            thread.start()
        self._next()
        for thread in threads:
            thread.join(60)
        if self._errors:
            raise self._errors[0]

    def switch(self) -> None:
        mine = self._turns[threading.current_thread()]
        self._next()
        mine.acquire()
        if self._errors:
            raise Violation("another job has failed")

    def _job(self, job: Callable[[], None]) -> None:
        me = threading.current_thread()
        self._turns[me].acquire()
        try:
            job()
        except BaseException as error:
            self._errors.append(error)
        finally:
            del self._turns[me]
            self._next()

    def _next(self) -> None:
        if self._turns:
            self._turns[self._rng.choice(list(self._turns))].release()


def _nothing() -> None:
    """The hook that does nothing."""


def begun(event: InboundEvent) -> ToolCallStarted:
    """A step of this turn."""
    return ToolCallStarted(id=IDS.next(), time=TIME, turn_id=event.turn_id, session_id=event.session_id, call_id="c")


def whole_life(script: Script) -> None:
    """Every move, on turns that live side by side."""
    first, second, third = inbound("first"), inbound("second"), inbound("third")
    script.accept(first)
    script.note(first.id, lambda turn: pending_log.started(turn, alone=False))
    script.accept(second)
    script.note(second.id, lambda turn: pending_log.steps(turn, [begun(second), begun(second)]))
    script.note(second.id, lambda turn: pending_log.steps(turn, [begun(second)]))
    answer = outbound(first, "one, two")
    script.answer(answer)
    script.note(first.id, lambda turn: pending_log.sending(turn, None))
    script.note(first.id, lambda turn: pending_log.sending(turn, ["one,", "two"]))
    script.note(first.id, lambda turn: pending_log.part(turn, 0))
    script.note(first.id, lambda turn: pending_log.deferred(turn, TIME, 1, "timeout"), durable=False)
    script.note(first.id, lambda turn: pending_log.sending(turn, None))
    notice = outbound(second, "it was put aside", answers=())
    script.bury(second.id, notice)
    script.bury(first.id)
    script.retry(answer.id)
    script.note(first.id, lambda turn: pending_log.part(turn, 1))
    script.ack(first.id)
    script.retry(second.id)
    script.accept(third)
    script.note(third.id, lambda turn: pending_log.started(turn, alone=True))
    script.note(third.id, lambda turn: pending_log.steps(turn, [begun(third)]))
    script.note(third.id, pending_log.parked, durable=False)
    script.answer(outbound(third, answers=(second.id, third.id)))
    script.bury(notice.id)
    script.drop(notice.id)
    script.ack(third.id)


def busy_hour(script: Script, seed: int) -> None:
    """Several turns at once, each with another fate."""

    def answered() -> None:
        event = inbound("answered")
        script.accept(event)
        script.note(event.id, lambda turn: pending_log.started(turn, alone=False))
        script.answer(outbound(event))
        script.note(event.id, lambda turn: pending_log.sending(turn, ["a", "b"]))
        script.note(event.id, lambda turn: pending_log.part(turn, 0))
        script.ack(event.id)

    def buried() -> None:
        event = inbound("buried")
        script.accept(event)
        script.bury(event.id, notice := outbound(event, answers=()))
        script.ack(notice.id)
        script.retry(event.id)

    def together() -> None:
        one, two = inbound("one"), inbound("two")
        script.accept(one)
        script.accept(two)
        script.answer(outbound(two, answers=(one.id, two.id)))
        script.bury(two.id)

    script.side_by_side([answered, buried, together], seed)
