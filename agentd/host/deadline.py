"""A deadline for the end of this process that holds whatever its threads do.

A thread that hangs in a write of a broken disk never ends, and the interpreter waits for every thread before it exits.
What was said to be stored is on the disk by then, so that ending at once loses nothing.
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
"""It took too long."""
SAY_SECONDS = 1.0
"""How long the last word may take: who reads standard error may hang as well."""
SHOWN = 20
"""Threads that are named; there may be dozens in the same place."""


class Deadline:
    """`arm` it when the end begins; a process that has not ended by then is ended, with a word on what held it up."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float) -> None:
        """From now on; a later call sets the deadline anew."""
        self.disarm()
        self._timer = threading.Timer(seconds, _end, (seconds,))
        self._timer.daemon = True
        self._timer.start()
        # The kernel's own timer ends us if a thread computes and gives the interpreter to nobody, not even to this one.
        signal.setitimer(signal.ITIMER_REAL, seconds + 2 * SAY_SECONDS)

    def disarm(self) -> None:
        """It ended in time, and the process goes on."""
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
    """Every thread that the process would wait for, and where it is."""
    frames = sys._current_frames()
    threads = [thread for thread in threading.enumerate() if not thread.daemon]
    return [f"{thread.name}: {_place(frames.get(thread.ident or 0))}" for thread in threads[:SHOWN]]


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "it ends at the moment"
    places = traceback.extract_stack(frame)[-3:]
    return " < ".join(f"{place.name} ({os.path.basename(place.filename)}:{place.lineno})" for place in reversed(places))
