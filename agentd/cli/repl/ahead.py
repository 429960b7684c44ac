"""What was typed before the prompt was there: until then a terminal gives a line feed for Enter."""

from __future__ import annotations

import os
import select

from prompt_toolkit.input import Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress

MOST_BYTES = 65536
"""More than a terminal keeps for a program that does not read."""


def typed_ahead(terminal: Input) -> list[KeyPress]:
    """The keys that lie in a terminal in raw mode, with Enter for each line feed; it does not wait for more."""
    keys: list[KeyPress] = []
    parser = Vt100Parser(keys.append)
    parser.feed(_lying_there(terminal.fileno()).decode("utf-8", "replace").replace("\n", "\r"))
    parser.flush()
    return keys


def _lying_there(fd: int) -> bytes:
    data = b""
    while len(data) < MOST_BYTES and select.select([fd], [], [], 0)[0]:
        try:
            more = os.read(fd, MOST_BYTES)
        except OSError:  # the terminal is gone, which the prompt finds out
            break
        if not more:
            break
        data += more
    return data
