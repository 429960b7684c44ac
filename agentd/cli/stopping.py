"""SIGTERM, SIGINT and SIGHUP ask the event loop to stop; the deadline counts from them, whatever the loop does."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from agentd.host.deadline import Deadline

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """The first signal allows `grace` and `hard_limit` seconds together, a second one only `hard_limit`.

    A terminal that closes may send SIGHUP several times, so only the first one counts. Under nohup it stays ignored.
    """

    def __init__(self, *, grace: float, hard_limit: float) -> None:
        self._counting = set(SIGNALS)
        self._seconds = iter((grace + hard_limit, hard_limit))
        self._deadline = Deadline()

    def follow(self, asked: Callable[[str], None]) -> None:
        """From now on, call `asked` on this event loop with the name of each signal.

        A separate thread reads the signals, so that a hanging loop cannot hold up the deadline.
        """
        loop = asyncio.get_running_loop()
        received, written = os.pipe()
        os.set_blocking(written, False)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            self._counting.discard(signal.SIGHUP)
        for number in self._counting:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        reader = threading.Thread(target=self._read, args=(received, loop, asked), name="signals", daemon=True)
        reader.start()

    def _read(self, received: int, loop: asyncio.AbstractEventLoop, asked: Callable[[str], None]) -> None:
        while numbers := os.read(received, 64):
            for number in numbers:
                if number in self._counting:
                    self._asked(signal.Signals(number).name, loop, asked)
                if number == signal.SIGHUP:
                    self._counting.discard(signal.SIGHUP)

    def _asked(self, name: str, loop: asyncio.AbstractEventLoop, asked: Callable[[str], None]) -> None:
        if (seconds := next(self._seconds, None)) is not None:
            self._deadline.arm(seconds)
        with suppress(RuntimeError):  # The loop is closed: the process is ending already.
            loop.call_soon_threadsafe(asked, name)
