"""How `agentd run` gets the state directory from a chat or another command: it asks, and waits until it is free."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from agentd.errors import AgentdError, StateInUse, Unreachable
from agentd.host.paths import SOCKET_NAME
from agentd.serving.client import Client

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""How long a holder may be silent, because it may be starting or ending."""
SLACK_SECONDS = 5.0
"""How many seconds longer than announced a hand-over may take."""
POLL_SECONDS = 0.05


class Takeover:
    """Call `wait` each time the state directory is refused; `stop` ends a wait."""

    def __init__(self, state_dir: Path, stop: asyncio.Event) -> None:
        self._socket = state_dir / SOCKET_NAME
        self._stop = stop
        self._asked: int | None = None
        self._deadline = time.monotonic() + ANSWER_SECONDS

    async def wait(self, refusal: StateInUse) -> None:
        """Returns when another try makes sense; raises the refusal if the holder goes on or does not end."""
        if refusal.pid is None or refusal.pid != self._asked:
            await self._ask(refusal)
        if time.monotonic() > self._deadline:
            raise refusal
        try:
            await asyncio.wait_for(self._stop.wait(), POLL_SECONDS)
        except TimeoutError:
            return

    async def _ask(self, refusal: StateInUse) -> None:
        try:
            async with await Client.connect(self._socket, name="agentd run", acks=False) as client:
                seconds = await client.hand_over()
        except Unreachable as error:
            # Nobody listens yet or any longer, or the holder ended before it replied.
            log.debug("%s", error)
            return
        except AgentdError as error:
            log.debug("%s", error)
            raise refusal from None
        self._asked = refusal.pid
        self._deadline = time.monotonic() + seconds + SLACK_SECONDS
        log.info("process %s hands over the state directory; its running answers end first", refusal.pid)
