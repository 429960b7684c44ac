"""The only way out to the standard streams: plain text, in whatever the terminal can encode, whoever still reads it.

What was closed when the program started is opened by `open_streams`: closed input is empty, closed output is a pipe
that nobody reads.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from agentd.errors import AgentdError
from agentd.text.plain import plain, plain_data

STDIN, STDOUT, STDERR = 0, 1, 2


class Unwritable(AgentdError):
    """Standard output takes nothing more."""


def open_streams() -> None:
    """Give this process its three standard streams, whatever it was started with.

    A descriptor that stays closed would be taken by the next file that is opened, and output would go into that.
    """
    if not _is_open(STDIN):
        os.open(os.devnull, os.O_RDONLY)
    if not _is_open(STDOUT):
        _open_unread(STDOUT)
    if not _is_open(STDERR):
        os.open(os.devnull, os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(STDIN, closefd=False)
    if sys.stdout is None:
        sys.stdout = open(STDOUT, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _open_unread(descriptor: int) -> None:
    """Open the lowest free descriptor, which this is, as a pipe whose other end is closed."""
    read, write = os.pipe()
    os.dup2(write, descriptor)
    for end in {read, write} - {descriptor}:
        os.close(end)


def discard(stream: TextIO) -> None:
    """Nobody can take what is written here; the interpreter flushes it once more when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def say(text: str, stream: TextIO | None = None) -> None:
    """Lines for a person, on standard output if no other stream is given."""
    put(sys.stdout if stream is None else stream, f"{text}\n")


def say_json(data: Any) -> None:
    """Data for a program."""
    import json

    say(json.dumps(plain_data(data), indent=2, ensure_ascii=False))


def warn(text: str) -> None:
    """A line beside the output; that nobody can read it is no failure."""
    say(text, sys.stderr)


def put(stream: TextIO, text: str, *, flush: bool = False) -> None:
    """A piece of text, cleaned; `Unwritable` if the stream takes no more, `BrokenPipeError` if nobody reads it."""
    try:
        stream.write(plain(text))
        if flush:
            stream.flush()
    except OSError as error:
        if stream is sys.stderr:
            return
        if isinstance(error, BrokenPipeError):
            raise
        raise Unwritable(f"the output cannot be written: {error.strerror}.") from error
