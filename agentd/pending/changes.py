"""What each move changes: what it needs, its work on the disk, and what is pending afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agentd.errors import NotAccepted, NotFound, StateError
from agentd.events import InboundEvent, OutboundEvent
from agentd.ids import is_id
from agentd.pending.aside import notice as notice_of
from agentd.pending.dead import DeadLetters
from agentd.pending.file import header_of
from agentd.pending.index import Index
from agentd.pending.log import LogLine, after, event_id_of
from agentd.pending.moves import Moves
from agentd.pending.order import Move
from agentd.ports.clock import Clock
from agentd.ports.work import PendingTurn


class Changes:
    """Makes a `Move` of each change, for the `MoveOrder` to make.

    It raises `NotAccepted`, `StateError` or `NotFound` if the change can never be made; if it cannot be made when its
    turn comes, the move fails with such an error.
    """

    def __init__(self, moves: Moves, index: Index, dead: DeadLetters, clock: Clock) -> None:
        self._moves = moves
        self._index = index
        self._dead = dead
        self._clock = clock

    def store(self, event: InboundEvent | OutboundEvent) -> Move:
        """Accept it; if it answers something, it replaces what it answers."""
        if isinstance(event, OutboundEvent) and event.answers:
            return self.answer(event)
        return self.accept(event)

    def accept(self, event: InboundEvent | OutboundEvent) -> Move:
        name = header_of(event).name
        if not is_id(name):
            raise NotAccepted(f"{name!r} is not an id of ours; ids come from agentd.ids.")

        def prepare() -> Callable[[], None]:
            if name in self._index:
                raise NotAccepted(f"{name} is pending already; give every event an id of its own.")
            return partial(self._moves.accept, event)

        return Move(
            what="accept",
            names=(name,),
            failure=NotAccepted,
            told="the message was not stored",
            prepare=prepare,
            apply=lambda: self._put(event),
        )

    def answer(self, event: OutboundEvent) -> Move:
        names = tuple(dict.fromkeys((event.turn_id, *event.answers)))
        if not event.answers or not all(map(is_id, (event.id, *names))):
            raise StateError(f"{event.id} does not say which turns it answers; accept a notice instead.")

        def prepare() -> Callable[[], None] | None:
            before = self._index.get(event.turn_id)
            if before is not None and before.outbound_id:
                if before.outbound_id == event.id:
                    return None
                raise StateError(f"{event.turn_id} has its answer {before.outbound_id} already; it stays as it is.")
            return partial(self._moves.answer, event)

        def apply() -> None:
            for name in names:
                self._index.remove(name)
            self._put(event)

        return _move("answer", *names, told=f"the answer {event.id} was not stored", prepare=prepare, apply=apply)

    def ack(self, turn_id: str) -> Move:
        def prepare() -> Callable[[], None]:
            self._index.known(turn_id)
            return partial(self._moves.ack, turn_id)

        told = f"the end of {turn_id} was not noted"
        return _move("ack", turn_id, told=told, prepare=prepare, apply=lambda: self._index.remove(turn_id))

    def bury(self, turn_id: str, reason: str, notice: OutboundEvent | None) -> Move:
        notice_name = () if notice is None else (header_of(notice).name,)
        event_id, noticed = "", False

        def prepare() -> Callable[[], None]:
            nonlocal event_id, noticed
            event_id, time = event_id_of(self._index.known(turn_id)), self._clock.now()
            noticed = any(name in self._index for name in notice_name)
            return partial(self._moves.bury, turn_id, event_id, reason, time, notice, noticed=noticed)

        def apply() -> None:
            self._dead.changed(event_id)
            self._index.remove(turn_id)
            if notice is not None and not noticed:
                self._put(notice)

        return _move("bury", turn_id, *notice_name, told=f"{turn_id} was not buried", prepare=prepare, apply=apply)

    def set_aside(self, turn_id: str, why: str) -> Move:
        notice = notice_of(self._index.known(turn_id), self._clock.now())
        names = (turn_id,) if notice is None else (turn_id, notice.id)

        def prepare() -> Callable[[], None]:
            self._index.known(turn_id)
            return partial(self._moves.set_aside, turn_id, why, notice)

        def apply() -> None:
            self._index.remove(turn_id)
            if notice is not None:
                self._put(notice)

        return _move("set aside", *names, told=f"{turn_id} was not set aside", prepare=prepare, apply=apply)

    def note(
        self,
        what: str,
        turn_id: str,
        line_for: Callable[[PendingTurn], LogLine | None],
        noted: Callable[[PendingTurn], None],
        *,
        durable: bool,
    ) -> Move:
        """Adds a line to the log, unless `line_for` returns None; `noted` is called with the turn as it is then."""
        turn: PendingTurn
        line: LogLine | None

        def prepare() -> Callable[[], None] | None:
            nonlocal turn, line
            turn = self._index.known(turn_id)
            line = line_for(turn)
            if line is None:
                noted(turn)
                return None
            return partial(self._moves.append, turn, line, durable=durable)

        def apply() -> None:
            if line is not None:
                changed = after(turn, [line])
                self._index.note(changed)
                noted(changed)

        return _move(what, turn_id, told=f"'{what}' of {turn_id} was not noted", prepare=prepare, apply=apply)

    def retry(self, dead_id: str, turn: PendingTurn) -> Move:
        """The dead letter is pending again, as this turn."""

        def prepare() -> Callable[[], None]:
            if turn.id in self._index:
                raise StateError(f"the turn {turn.id} is pending; its dead letter {dead_id} can wait until it is not.")
            return partial(self._moves.retry, dead_id, turn)

        def apply() -> None:
            self._dead.changed(dead_id)
            self._index.put(turn)

        told = f"{dead_id} is not pending again"
        return _move("retry", turn.id, dead_id, told=told, prepare=prepare, apply=apply)

    def drop(self, dead_id: str) -> Move:
        if not is_id(dead_id):
            raise NotFound(f"{dead_id!r} is not the id of an event; `agentd delivery list` shows them.")
        work, told = partial(self._moves.drop, dead_id), f"{dead_id} was not dropped"
        return _move("drop", dead_id, told=told, prepare=lambda: work, apply=lambda: self._dead.changed(dead_id))

    def _put(self, event: InboundEvent | OutboundEvent) -> None:
        self._index.put(header_of(event).turn(), event)


def _move(
    what: str,
    *names: str,
    told: str,
    prepare: Callable[[], Callable[[], None] | None],
    apply: Callable[[], None],
) -> Move:
    return Move(what=what, names=names, failure=StateError, told=told, prepare=prepare, apply=apply)
