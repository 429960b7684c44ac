"""Which turns run, and which is next."""

from __future__ import annotations

import asyncio
from collections import Counter

from agentd.turns.conversation import Conversations
from agentd.turns.fair import ReadySessions
from agentd.turns.left import LeftTurns
from workers.agent.runner import Running


class Places:
    """For at most `most` turns, one of a session; principals take turns, and so do the sessions of each.

    Turns that are `left` have none. A turn that waits to run alone is `held`, and its session waits with it.
    """

    def __init__(self, conversations: Conversations, left: LeftTurns, most: int) -> None:
        self._conversations = conversations
        self._left = left
        self._most = most
        self._ready = ReadySessions(most)
        self._running: dict[str, Running] = {}
        self._freed = asyncio.Event()
        self.held: dict[str, str] = {}
        """Session -> the turn that waits to run alone."""
        self.alone = False
        """Whether a turn runs alone, or is about to: nothing else is started."""
        self.draining = False

    def of(self, session_id: str) -> Running | None:
        """The session's turn that has its place."""
        return self._running.get(session_id)

    def offer(self, session_id: str) -> None:
        """Its next turn runs when it can."""
        state = self._conversations.of(session_id)
        busy = session_id in self._running or session_id in self.held or session_id in self._left
        if state.waiting and not busy:
            self._ready.put(session_id, state.whose)

    def offer_all(self) -> None:
        for session_id in self._conversations.busy():
            self.offer(session_id)

    def go_on(self, session_id: str) -> None:
        """The turn that was left runs again when it can; nothing if it was stopped meanwhile."""
        if session_id in self._left:
            self._ready.put(session_id, self._conversations.of(session_id).whose)

    def next(self) -> tuple[str, str] | None:
        """The session and the turn that may have a place now."""
        while self._ready and not (self.draining or self.alone) and len(self._running) < self._most:
            running = Counter(self._conversations.of(session).whose for session in self._running)
            if (session_id := self._ready.take(running)) is None:
                return None
            if (turn_id := self._turn(session_id)) is not None:
                return session_id, turn_id
        return None

    def _turn(self, session_id: str) -> str | None:
        """The turn of a session that may run now; one that was stopped meanwhile may not."""
        if session_id in self._running:
            return None
        if (turn_id := self._left.take(session_id)) is not None:
            return turn_id
        waiting = () if session_id in self._left else self._conversations.of(session_id).waiting
        return next(iter(waiting), None)

    def take(self, running: Running) -> None:
        self._running[running.session_id] = running

    def free(self, running: Running) -> None:
        del self._running[running.session_id]
        self._freed.set()

    async def until_empty(self) -> None:
        """Until no turn has a place."""
        while self._running:
            self._freed.clear()
            await self._freed.wait()
