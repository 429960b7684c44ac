"""The pending directory: one file per unfinished turn, the only place where unfinished work lives.

`pending/ID.event` is the question until it is answered, then the answer until it is delivered; `pending/ID.log` holds
what was done for it; `dead/` what was given up; `corrupt/` what is not ours. A move is durable when it returns, except
`defer`. `changes` says what each move is, `moves` writes the disk, `recovery` is what a start does; this is what the
event loop sees of them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from agentd.clock import SystemClock
from agentd.errors import AgentdError, StateError, Unreadable
from agentd.events import InboundEvent, OutboundEvent, StepEvent
from agentd.host.files import Files, OsFiles, explain
from agentd.ids import NO_ID
from agentd.pending import log as pending_log
from agentd.pending.aside import UNREADABLE, notice
from agentd.pending.changes import Changes
from agentd.pending.dead import DeadLetters, damaged
from agentd.pending.disk import Disk
from agentd.pending.file import Damaged
from agentd.pending.health import Health
from agentd.pending.index import Index
from agentd.pending.log import LogLine, event_id_of
from agentd.pending.moves import Layout, Moves
from agentd.pending.order import MoveOrder
from agentd.pending.recovery import Recovered, recover
from agentd.pending.threads import Threads
from agentd.ports.clock import Clock
from agentd.ports.work import Counts, DeadLetter, Ended, PendingTurn

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

MIN_FREE_BYTES = 64 * 1024 * 1024
CLOSE_SECONDS = 30.0
"""How long closing waits for the moves that are under way."""


class PendingDirectory:
    """Implements `ports.Pending`, `ports.Progress` and `ports.WorkList`; one process at a time has it open.

    Entering recovers what an earlier process left; it raises `NewerVersion` before it touches anything, and
    `StateError` if the directory cannot be used. Moves of one turn follow each other, moves of different turns run in
    parallel on `threads` threads; a move that has begun completes even if its caller is cancelled.
    """

    def __init__(
        self,
        state_dir: Path,
        files: Files | None = None,
        *,
        clock: Clock | None = None,
        threads: int = 48,
        min_free_bytes: int = MIN_FREE_BYTES,
        allow_network_fs: bool = False,
    ) -> None:
        self._layout = Layout(str(state_dir.absolute()))
        self._files: Files = files or OsFiles()
        self._clock: Clock = clock or SystemClock()
        self._allow_network_fs = allow_network_fs
        self._threads = Threads(threads, "pending")
        self._disk = Disk(self._files, self._layout.pending, min_free_bytes)
        self._dead = DeadLetters(self._layout, self._files)
        self._listing = asyncio.Lock()
        """Held while the dead letters are listed: however many ask, one thread is busy with it."""
        self._moves = Moves(self._layout, self._files, self._disk, ())
        self._index = Index({})
        self._changes = Changes(self._moves, self._index, self._dead, self._clock)
        self._health = Health(self._disk, self._threads)
        self._order = MoveOrder(self._threads, self._health.wrote)
        self.last_id = NO_ID
        """The greatest id that the recovery found."""
        self.aside: tuple[str, ...] = ()
        """Names of the files that the recovery moved to corrupt/."""
        self._lost: tuple[PendingTurn, ...] = ()

    async def __aenter__(self) -> Self:
        try:
            found = await self._threads.run(self._open)
        except BaseException:
            self._threads.close()
            raise
        self._moves = Moves(self._layout, self._files, self._disk, found.logs)
        self._index = Index(found.turns)
        self._changes = Changes(self._moves, self._index, self._dead, self._clock)
        self.last_id = found.last_id
        self.aside = found.set_aside
        self._lost = found.lost
        if found.turns:
            turns = "1 turn is" if len(found.turns) == 1 else f"{len(found.turns)} turns are"
            log.info("%s pending", turns)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._health.close()
        for move in await self.settled():
            log.error("the move '%s' did not end within %g s; leaving it behind", move, CLOSE_SECONDS)
        self._threads.close()

    def _open(self) -> Recovered:
        layout = self._layout
        try:
            self._files.make_directory(layout.state)
            network = self._files.network_type(layout.state)
            if network and not self._allow_network_fs:
                raise StateError(
                    f"the state directory {layout.state} is on a network file system ({network}), which may lose what "
                    "it said is stored: choose a local one with --state-dir, or set pending.allow_network_fs."
                )
            found = recover(layout, self._files)
            self._disk.open()
        except OSError as error:
            raise StateError(
                f"the state directory {layout.state} cannot be used ({error.filename or 'writing'}): {explain(error)}."
            ) from error
        return found

    # --- what is there ---

    async def unanswered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]:
        return self._index.unanswered(channels)

    async def undelivered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]:
        return self._index.undelivered(channels)

    async def oldest(self, limit: int) -> Sequence[PendingTurn]:
        return self._index.oldest(limit)

    async def find(self, id: str) -> PendingTurn | None:
        return self._index.find(id)

    async def by_key(self, key: str) -> PendingTurn | None:
        return self._index.by_key(key)

    async def counts(self) -> Counts:
        return self._index.counts()

    async def load(self, turn_id: str) -> InboundEvent | OutboundEvent:
        """The event; `Unreadable` if its file is damaged or gone, `StateError` if it is not pending, or not now."""
        self._index.known(turn_id)
        if (body := self._index.body(turn_id)) is not None:
            return body
        try:
            return await self._threads.run(partial(self._moves.load, turn_id))
        except Damaged as error:
            why = f"is damaged: {error}"
        except OSError as error:
            why = f"cannot be read: {explain(error)}"
            if error.errno not in (*UNREADABLE, errno.ENOENT):
                raise StateError(f"the event {turn_id} {why}.") from error
        self._index.known(turn_id)
        raise Unreadable(f"the event {turn_id} {why}.")

    async def corrupt(self) -> Sequence[str]:
        """Names of the files in corrupt/: they were set aside, now or earlier, and nobody has removed them yet."""
        return await self._read("corrupt/", self._files.names, self._layout.corrupt)

    async def tell_lost(self) -> None:
        """Make a notice pending for every event that the recovery set aside, if its address could be read."""
        for lost in self._lost:
            told = notice(lost, self._clock.now())
            if told is not None and told.id not in self._index:
                try:
                    await self.accept(told)
                except AgentdError as error:
                    log.error("the sender of %s could not be told that it is lost: %s", lost.id, error)
        self._lost = ()

    # --- how its disk is ---

    @property
    def healthy(self) -> bool:
        """Whether new messages are accepted, as far as is known; `look` finds out."""
        return not self.problem

    @property
    def silent(self) -> bool:
        """Whether the disk hung at the last look."""
        return self._health.silent

    @property
    def lacks_room(self) -> bool:
        """Whether nothing is wrong but that the disk is full."""
        return self._health.lacks_room

    @property
    def problem(self) -> str:
        """Why new messages are refused, and what to do; "" if they are not."""
        return self._health.problem

    async def look(self) -> None:
        """Find out, without writing, whether new messages are accepted."""
        await self._health.look()

    # --- the moves ---

    def begin(self, event: InboundEvent | OutboundEvent, ended: Ended) -> None:
        try:
            move = self._changes.store(event)
        # The caller gets it.
        except Exception as error:
            ended(error)
        else:
            self._order.begin(move, ended)

    async def accept(self, event: InboundEvent | OutboundEvent) -> None:
        await self._order.make(self._changes.accept(event))

    async def answer(self, event: OutboundEvent) -> None:
        await self._order.make(self._changes.answer(event))

    async def ack(self, turn_id: str) -> None:
        await self._order.make(self._changes.ack(turn_id))

    async def bury(self, turn_id: str, reason: str, notice: OutboundEvent | None = None) -> None:
        await self._order.make(self._changes.bury(turn_id, reason, notice))

    async def set_aside(self, turn_id: str, why: str) -> None:
        await self._order.make(self._changes.set_aside(turn_id, why))

    async def settled(self, seconds: float = CLOSE_SECONDS) -> list[str]:
        """Wait until no move is under way, even one whose caller is gone; returns those that have not ended."""
        return await self._order.settled(seconds)

    # --- the log beside an event ---

    async def defer(
        self, turn_id: str, *, until: datetime | None, attempt: int, error: str, uncertain: bool = False
    ) -> PendingTurn:
        def line(turn: PendingTurn) -> LogLine:
            return pending_log.deferred(turn, until, attempt, error, uncertain=uncertain)

        # After a power cut an earlier line may count instead of one that was not synced; the label must survive that.
        return await self._note("defer", turn_id, line, durable=uncertain)

    async def started(self, turn_id: str, *, alone: bool) -> PendingTurn:
        return await self._note("started", turn_id, partial(pending_log.started, alone=alone))

    async def held(self, turn_id: str) -> PendingTurn:
        return await self._note("held", turn_id, pending_log.held)

    async def parked(self, turn_id: str) -> PendingTurn:
        return await self._note("parked", turn_id, pending_log.parked, durable=False)

    async def sending(self, turn_id: str, parts: Sequence[str] | None = None) -> PendingTurn:
        """Writes nothing if the log says so already."""

        def line(turn: PendingTurn) -> LogLine | None:
            told = turn.sending and (parts is None or bool(turn.parts))
            return None if told else pending_log.sending(turn, parts)

        return await self._note("sending", turn_id, line)

    async def part_done(self, turn_id: str, n: int) -> PendingTurn:
        return await self._note("part", turn_id, partial(pending_log.part, n=n))

    async def stepped(self, turn_id: str, steps: Sequence[StepEvent], *, durable: bool) -> None:
        await self._note("stepped", turn_id, partial(pending_log.steps, events=steps), durable=durable)

    async def steps(self, turn_id: str) -> Sequence[StepEvent]:
        return pending_log.steps_of(await self.noted(turn_id))

    async def _note(
        self, what: str, turn_id: str, line_for: Callable[[PendingTurn], LogLine | None], *, durable: bool = True
    ) -> PendingTurn:
        noted: list[PendingTurn] = []
        await self._order.make(self._changes.note(what, turn_id, line_for, noted.append, durable=durable))
        return noted[0]

    # --- dead letters ---

    async def dead(self) -> list[DeadLetter]:
        """The dead letters, in the order of their ids."""
        async with self._listing:
            return await self._read("the directory of dead letters", self._dead.all)

    async def dead_event(self, dead_id: str) -> InboundEvent | OutboundEvent:
        """The event of a dead letter; `NotFound` if there is none."""
        return await self._read(f"the dead letter {dead_id}", self._dead.event, dead_id)

    async def noted(self, name: str) -> list[LogLine]:
        """The lines about the pending event of this name, or about the dead letter with this id, oldest first."""
        turn = self._index.get(name)
        if turn is None:
            return await self._read(f"the log of {name}", self._dead.lines, name)
        return await self._read(f"the log of {name}", self._moves.lines, name, event_id_of(turn))

    async def retry(self, dead_id: str) -> PendingTurn:
        """Make it pending again, with all its attempts; parts that were confirmed are not sent again."""
        turn = await self._read(f"the dead letter {dead_id}", self._dead.reopened, dead_id, self._clock.now())
        await self._order.make(self._changes.retry(dead_id, turn))
        return turn

    async def drop(self, dead_id: str) -> None:
        """Delete a dead letter for good; `NotFound` if there is none."""
        await self._order.make(self._changes.drop(dead_id))

    async def purge(self, older_than: timedelta) -> int:
        """Drop the dead letters that are older than this; returns how many. Letters without a time stay."""
        limit = self._clock.now() - older_than
        old = [letter.id for letter in await self.dead() if letter.time is not None and letter.time < limit]
        for dead_id in old:
            await self.drop(dead_id)
        return len(old)

    async def _read(self, what: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self._threads.run(partial(work, *args, **kwargs))
        except Damaged as error:
            raise damaged(what, error) from None
        except OSError as error:
            raise StateError(f"{what} cannot be read: {explain(error)}.") from error
