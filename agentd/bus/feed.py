"""Live events of each session, numbered since the daemon started, with a bounded replay for clients that reconnect."""

from __future__ import annotations

import os
from collections import OrderedDict, deque

from agentd.bus.bus import Reader, merge_chunks
from agentd.events import Buried, Event, GenerationChunk, InboundEvent, OutboundEvent, SessionDeleted
from agentd.ports.feed import Numbered

REPLAY_EVENTS = 512
REPLAY_SESSIONS = 1000
QUESTIONS = 100
"""How many questions without an answer are kept for each session."""

MAX_QUESTION = 10_000
"""How many characters of a question the followers of its session get; the history has all of it."""


class _Session:
    def __init__(self) -> None:
        self.replay: deque[Numbered] = deque(maxlen=REPLAY_EVENTS)
        self.forgotten = 0
        """The greatest number that is no longer in `replay`."""
        self.readers: list[Reader[Numbered]] = []
        self.questions: OrderedDict[str, InboundEvent] = OrderedDict()
        """Turn -> question, for the newest ones without an answer; the history has the others."""

    def ask(self, numbered: Numbered, question: InboundEvent) -> None:
        """Keep a question, apart from the replay, so that the events of a long answer cannot push it out."""
        self.questions[question.turn_id] = question
        if len(self.questions) > QUESTIONS:
            self.questions.popitem(last=False)
        for reader in self.readers:
            reader.put(numbered)

    def add(self, numbered: Numbered) -> None:
        if len(self.replay) == self.replay.maxlen:
            self.forgotten = self.replay[0].n
        self.replay.append(numbered)
        match numbered.event:
            case OutboundEvent():
                self._drop_chunks(numbered.event)
                for turn_id in (numbered.event.turn_id, *numbered.event.answers):
                    self.questions.pop(turn_id, None)
            case Buried():
                self.questions.pop(numbered.event.dead_id, None)
        for reader in self.readers:
            reader.put(numbered)

    def _drop_chunks(self, answer: OutboundEvent) -> None:
        """Drop the turn's chunks: the answer carries the whole text."""
        kept = [
            n for n in self.replay if not (isinstance(n.event, GenerationChunk) and n.event.turn_id in answer.answers)
        ]
        self.replay.clear()
        self.replay.extend(kept)


def _merge(earlier: Numbered, later: Numbered) -> Numbered | None:
    event = merge_chunks(earlier.event, later.event)
    return None if event is None else Numbered(n=later.n, event=event)


class LiveFeed:
    """Live events of each session, with a bounded replay; fed by being a reducer of the bus.

    It is for the core, which knows who may follow what.
    """

    def __init__(self) -> None:
        self.epoch = os.urandom(8).hex()
        self._n = 0
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._forgotten = 0
        """The greatest number in any session that was forgotten."""
        self._watchers: list[Reader[Numbered]] = []

    def apply(self, event: Event) -> None:
        session_id: str | None = getattr(event, "session_id", None)
        if session_id is None or (isinstance(event, InboundEvent) and event.kind != "message"):
            return
        self._n += 1
        session = self._session(session_id)
        if isinstance(event, InboundEvent):
            # One more character than clients get, so that they can be told that there is more.
            question = event.model_copy(update={"text": event.text[: MAX_QUESTION + 1]})
            numbered = Numbered(n=self._n, event=question)
            session.ask(numbered, question)
        else:
            numbered = Numbered(n=self._n, event=event)
            session.add(numbered)
        for watcher in self._watchers:
            watcher.put(numbered)
        if isinstance(event, SessionDeleted):
            self._forget(session_id, session)

    def questions(self, session_id: str) -> tuple[InboundEvent, ...]:
        """The unanswered questions of a session that came or began since the daemon started, oldest first."""
        session = self._sessions.get(session_id)
        return tuple(session.questions.values()) if session else ()

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session()
            session.forgotten = self._forgotten
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > REPLAY_SESSIONS:
            self._forget_one(but=session_id)
        return session

    def _forget_one(self, *, but: str) -> None:
        """Forget the session that has been quiet longest and that nobody follows, but not `but`."""
        for session_id, session in self._sessions.items():
            if not session.readers and session_id != but:
                self._forget(session_id, session)
                return

    def _forget(self, session_id: str, session: _Session) -> None:
        last = session.replay[-1].n if session.replay else session.forgotten
        self._forgotten = max(self._forgotten, last)
        del self._sessions[session_id]

    def follow(self, session_id: str, after: tuple[str, int] | None = None) -> Reader[Numbered]:
        """Events of one session as they happen; first those after `(epoch, n)`, or a `Gap` if some are gone."""
        session = self._session(session_id)
        reader: Reader[Numbered] = Reader(REPLAY_EVENTS, _merge, session.readers.remove)
        missed, replay = self._replay(session, after)
        if missed:
            reader.miss(missed)
        for numbered in replay:
            reader.put(numbered)
        session.readers.append(reader)
        return reader

    def watch(self) -> Reader[Numbered]:
        """Events of all sessions as they happen."""
        reader: Reader[Numbered] = Reader(REPLAY_EVENTS, _merge, self._watchers.remove)
        self._watchers.append(reader)
        return reader

    def _replay(self, session: _Session, after: tuple[str, int] | None) -> tuple[int, list[Numbered]]:
        if after is None:
            return 0, []
        epoch, n = after
        if epoch != self.epoch or n < session.forgotten or n > self._n:
            return 1, []
        return 0, [numbered for numbered in session.replay if numbered.n > n]
