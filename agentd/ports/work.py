"""Unfinished work: the moves of the pending directory, the log beside an event, and what may be asked about it all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from agentd.events import InboundEvent, Kind, OutboundEvent, StepEvent
from agentd.records import Address, Principal

Content = Kind | Literal["answer", "notice"]
"""What the file of a turn holds: a question of some kind, the answer to turns, or a message of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingTurn:
    """One unfinished turn as it was when somebody asked; a move gives the new one. Bodies stay on disk.

    `id` is the turn's id and the file's name. `outbound_id` is "" until the turn is answered. `starts` counts the
    times that the turn was started, `running` says that the last of them was neither ended nor parked, and
    `starts_alone` how many starts in a row were alone after an unclean end; `sending` says that a send was begun and
    not ended; `parts` is the rendered split once it is fixed, `parts_done` how many of those the platform has
    confirmed.
    """

    id: str
    kind: Content
    session_id: str
    dedupe_key: str
    address: Address
    principal: Principal | None = None
    """Whose it is; None if its file was written by an agentd that did not say so yet."""
    outbound_id: str = ""
    starts: int = 0
    running: bool = False
    stepped: bool = False
    """Whether the log has steps of the turn."""
    starts_alone: int = 0
    sending: bool = False
    parts: tuple[str, ...] = ()
    parts_done: int = 0
    attempts: int = 0
    not_before: datetime | None = None
    last_error: str = ""
    retried: datetime | None = None
    """When a person took it back out of the dead letters: its age counts from then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An event that was given up on. `time` is when, None if that was not written; `size` is in bytes."""

    id: str
    kind: Literal["inbound", "outbound"]
    turn_id: str
    session_id: str
    address: Address
    reason: str
    time: datetime | None
    attempts: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many turns have no answer yet, and how many have one that is not delivered."""

    unanswered: int
    undelivered: int


Ended = Callable[[BaseException | None], None]
"""Called once, on the event loop, with what came of a move: None when it is durable, else why it is not."""


class Pending(Protocol):
    """The moves of the pending directory; all but `defer` are durable when they end; `NotAccepted` or `StateError`."""

    def begin(self, event: InboundEvent | OutboundEvent, ended: Ended) -> None:
        """Accept or answer; it goes on by itself, `ended` may be called before this returns, and this never raises.

        Accept: ID.event appears, an inbound, or a notice, which starts as an answer. Answer: the files of the turns
        that an outbound answers become this one.
        """
        ...

    async def ack(self, turn_id: str) -> None:
        """Nothing is owed any more: the file and its log go."""
        ...

    async def defer(
        self, turn_id: str, *, until: datetime | None, attempt: int, error: str, uncertain: bool = False
    ) -> PendingTurn:
        """Not sent this time, which need not survive a crash; or perhaps sent (`uncertain`), which must."""
        ...

    async def bury(self, turn_id: str, reason: str, notice: OutboundEvent | None = None) -> None:
        """Given up: into the dead letters with its log and reason, and `notice`, if any, becomes pending."""
        ...

    async def set_aside(self, turn_id: str, why: str) -> None:
        """Its file is `Unreadable`: into corrupt/ with its log, and a notice for its address becomes pending."""
        ...


class Progress(Protocol):
    """The log beside an event: lines that survive a crash. Each gives the turn as it is then."""

    async def started(self, turn_id: str, *, alone: bool) -> PendingTurn:
        """The turn runs now; `alone` says that no other turn runs meanwhile."""
        ...

    async def held(self, turn_id: str) -> PendingTurn:
        """A suspect waits to run alone: a death of the process until then is not its doing."""
        ...

    async def parked(self, turn_id: str) -> PendingTurn:
        """The process ends in good order while this turn runs: the turn is not to blame. Need not survive a crash."""
        ...

    async def sending(self, turn_id: str, parts: Sequence[str] | None = None) -> PendingTurn:
        """A send begins; `parts`, given once, fixes the rendered split for every later attempt."""
        ...

    async def part_done(self, turn_id: str, n: int) -> PendingTurn: ...

    async def stepped(self, turn_id: str, steps: Sequence[StepEvent], *, durable: bool) -> None:
        """What the turn has done. Steps that are not `durable` are lost if the power fails before the next that are."""
        ...

    async def steps(self, turn_id: str) -> Sequence[StepEvent]:
        """What the turn has done, in the order in which it was written, each step once."""
        ...


class WorkList(Protocol):
    """Questions about what is unfinished, answered in id order, and the bodies when they are due.

    `channels` asks for the turns of these only.
    """

    async def unanswered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]: ...

    async def undelivered(self, channels: Collection[str] | None = None) -> Sequence[PendingTurn]: ...

    async def oldest(self, limit: int) -> Sequence[PendingTurn]:
        """The first `limit` turns, answered or not."""
        ...

    async def find(self, id: str) -> PendingTurn | None:
        """The one whose turn, or whose answer, has this id."""
        ...

    async def by_key(self, key: str) -> PendingTurn | None:
        """The unanswered turn that was asked for under this dedupe key."""
        ...

    async def counts(self) -> Counts: ...

    async def load(self, turn_id: str) -> InboundEvent | OutboundEvent:
        """`Unreadable` if its file is damaged or gone; another `StateError` may pass."""
        ...


class Work(Pending, Progress, WorkList, Protocol):
    """All that workers do with the pending directory."""


class Purging(Protocol):
    async def purge(self, older_than: timedelta) -> int:
        """Drop what was given up, or last used, longer ago than that; how many there were."""
        ...


class Unfinished(WorkList, Purging, Protocol):
    """All that is pending or dead, to look at, and what a person decides about dead letters.

    `NotFound` if there is no such letter.
    """

    async def dead(self) -> Sequence[DeadLetter]:
        """In the order of their ids."""
        ...

    async def dead_event(self, dead_id: str) -> InboundEvent | OutboundEvent: ...

    async def noted(self, name: str) -> Sequence[Mapping[str, Any]]:
        """The log of a dead letter, or of what is pending under this name, in the order of writing."""
        ...

    async def retry(self, dead_id: str) -> PendingTurn:
        """Pending again; parts that were confirmed are not sent again."""
        ...

    async def drop(self, dead_id: str) -> None:
        """Delete it for good."""
        ...
