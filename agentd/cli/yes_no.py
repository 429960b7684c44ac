"""Asks a person something that takes yes or no, and understands the answer."""

from __future__ import annotations

import sys
from typing import TextIO

from agentd.cli.say import put, say

AGAIN = "y or n?"
"""What is asked, once, if the answer was neither yes nor no."""


def yes_or_no(text: str, *, default: bool) -> bool | None:
    """Whether it is a yes; an empty answer is the default, and None is neither."""
    match text.strip().lower():
        case "y" | "yes":
            return True
        case "n" | "no":
            return False
        case "":
            return default
        case _:
            return None


async def asked(question: str, *, default: bool, stream: TextIO | None = None) -> bool | None:
    """What the person says, with the default for an empty line; None at the end of input.

    What is neither yes nor no is asked once more, and then it is a no.
    """
    for words in (question, f"{AGAIN} "):
        if (line := await _read_line(words, stream or sys.stdout)) is None:
            return None
        if (reply := yes_or_no(line, default=default)) is not None:
            return reply
    return False


async def _read_line(prompt: str, stream: TextIO) -> str | None:
    """One line from the person; None at the end of the input."""
    from agentd.cli.lines import read_lines

    put(stream, prompt, flush=True)
    async for line in read_lines(sys.stdin.fileno()):
        return line
    say("", stream)
    return None
