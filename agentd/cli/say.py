"""Everything that commands print goes through here: plain text that the terminal can encode, even if nobody reads it.

`say` and `warn` write agentd's own words, with its commands as they can be typed here; `put` writes the words of others
as they are.

`open_streams` opens the streams that were closed when the program started: closed input is empty, closed output is a
pipe that nobody reads.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from agentd.cli.advice import as_typed
from agentd.errors import AgentdError
from agentd.text.plain import plain, plain_data

STDIN, STDOUT, STDERR = 0, 1, 2


class Unwritable(AgentdError):
    """Nothing more can be written to standard output."""


def open_streams() -> None:
    """Make sure that this process has its three standard streams.

    Otherwise the next file that is opened would get the free descriptor, and output would go into that file.
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
    """Open the lowest free descriptor as a pipe whose other end is closed."""
    read, write = os.pipe()
    os.dup2(write, descriptor)
    for end in {read, write} - {descriptor}:
        os.close(end)


def discard(stream: TextIO) -> None:
    """Drop what the stream still holds: nobody can take it, and the interpreter would flush it again at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def say(text: str, stream: TextIO | None = None) -> None:
    """Write lines of agentd for a person, to standard output unless another stream is given."""
    put(sys.stdout if stream is None else stream, f"{as_typed(text)}\n")


def say_json(data: Any) -> None:
    """Write data for a program."""
    import json

    put(sys.stdout, json.dumps(plain_data(data), indent=2, ensure_ascii=False) + "\n")


def warn(text: str) -> None:
    """Write a line to standard error; it is not a failure if nobody reads it."""
    say(text, sys.stderr)


def put(stream: TextIO, text: str, *, flush: bool = False) -> None:
    """Write a piece of text, cleaned; `Unwritable` or, if nobody reads it, `BrokenPipeError` if that fails."""
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
