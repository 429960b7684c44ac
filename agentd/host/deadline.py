"""A deadline by which this process ends, whatever its threads do.

A thread that hangs in a write to a broken disk never ends, and the interpreter waits for every thread before it exits.
Everything that was confirmed is on the disk by then, so ending at once loses nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType

EXIT_CODE = 124
"""The exit code if it took too long."""
SAY_SECONDS = 1.0
"""How long writing the last words may take: the reader of standard error may hang as well."""
SHOWN = 20
"""How many threads are named; dozens may hang in the same place."""


class Deadline:
    """`arm` it when stopping begins; a process that misses the deadline is ended, and says what held it up."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float) -> None:
        """Start the time; a later call sets the deadline anew."""
        self.disarm()
        self._timer = threading.Timer(seconds, _end, (seconds,))
        self._timer.daemon = True
        self._timer.start()
        # The kernel's timer ends us if a thread computes and never gives up the interpreter, not even to this thread.
        signal.setitimer(signal.ITIMER_REAL, seconds + 2 * SAY_SECONDS)

    def disarm(self) -> None:
        """Stop the time: everything ended, and the process goes on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            signal.setitimer(signal.ITIMER_REAL, 0)


def _end(seconds: float) -> None:
    speaker = threading.Thread(target=_say, args=(seconds,), daemon=True)
    speaker.start()
    speaker.join(SAY_SECONDS)
    os._exit(EXIT_CODE)


def _say(seconds: float) -> None:
    held = "".join(f"  {line}\n" for line in _held_up())
    text = (
        f"agentd did not end within {seconds:g} s, so it ends now; nothing that was stored is lost. What held it up:\n"
    )
    with suppress(OSError):
        os.write(2, (text + held).encode("utf-8", "backslashreplace"))


def _held_up() -> list[str]:
    """Every thread that the process would wait for, with its position in the code."""
    frames = sys._current_frames()
    threads = [thread for thread in threading.enumerate() if not thread.daemon]
    return [f"{thread.name}: {_position(frames.get(thread.ident or 0))}" for thread in threads[:SHOWN]]


def _position(frame: FrameType | None) -> str:
    if frame is None:
        return "it is just ending"
    last = traceback.extract_stack(frame)[-3:]
    return " < ".join(f"{one.name} ({os.path.basename(one.filename)}:{one.lineno})" for one in reversed(last))
