"""Live events of each session, numbered within this life of the daemon, with a bounded replay for who comes back."""

from __future__ import annotations

import os
from collections import OrderedDict, deque

from agentd.bus import Reader, merge_chunks
from agentd.events import Event, GenerationChunk, InboundEvent, OutboundEvent
from agentd.ports import Numbered

REPLAY_EVENTS = 512
REPLAY_SESSIONS = 1000


class _Session:
    def __init__(self) -> None:
        self.replay: deque[Numbered] = deque(maxlen=REPLAY_EVENTS)
        self.forgotten = 0
        """The greatest number that is no longer in `replay`."""
        self.readers: list[Reader[Numbered]] = []

    def add(self, numbered: Numbered) -> None:
        if len(self.replay) == self.replay.maxlen:
            self.forgotten = self.replay[0].n
        self.replay.append(numbered)
        if isinstance(numbered.event, OutboundEvent):
            self._drop_chunks(numbered.event)
        for reader in self.readers:
            reader.put(numbered)

    def _drop_chunks(self, answer: OutboundEvent) -> None:
        """The answer carries the whole text, so that nobody needs the turn's chunks any more."""
        kept = [
            n for n in self.replay if not (isinstance(n.event, GenerationChunk) and n.event.turn_id in answer.answers)
        ]
        self.replay.clear()
        self.replay.extend(kept)


def _merge(earlier: Numbered, later: Numbered) -> Numbered | None:
    event = merge_chunks(earlier.event, later.event)
    return None if event is None else Numbered(n=later.n, event=event)


class LiveFeed:
    """Implements `ports.Feed`; fed by being a reducer of the bus."""

    def __init__(self) -> None:
        self.epoch = os.urandom(8).hex()
        self._n = 0
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._forgotten = 0
        """The greatest number in any session that is no longer kept."""

    def apply(self, event: Event) -> None:
        session_id: str | None = getattr(event, "session_id", None)
        if session_id is None or isinstance(event, InboundEvent):
            return
        self._n += 1
        self._session(session_id).add(Numbered(n=self._n, event=event))

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session()
            session.forgotten = self._forgotten
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > REPLAY_SESSIONS:
            self._forget_one()
        return session

    def _forget_one(self) -> None:
        for session_id, session in self._sessions.items():
            if not session.readers:
                last = session.replay[-1].n if session.replay else session.forgotten
                self._forgotten = max(self._forgotten, last)
                del self._sessions[session_id]
                return

    def follow(self, session_id: str, after: tuple[str, int] | None = None) -> Reader[Numbered]:
        """Events of one session as they happen; first those after `(epoch, n)`, or a `Gap` where some are gone."""
        session = self._session(session_id)
        reader: Reader[Numbered] = Reader(REPLAY_EVENTS, _merge, session.readers.remove)
        missed, replay = self._replay(session, after)
        if missed:
            reader.miss(missed)
        for numbered in replay:
            reader.put(numbered)
        session.readers.append(reader)
        return reader

    def _replay(self, session: _Session, after: tuple[str, int] | None) -> tuple[int, list[Numbered]]:
        if after is None:
            return 0, []
        epoch, n = after
        if epoch != self.epoch or n < session.forgotten or n > self._n:
            return 1, []
        return 0, [numbered for numbered in session.replay if numbered.n > n]
