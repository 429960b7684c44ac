"""Runs a command with one line on what it does at the moment; all that it wrote is shown only if it fails.

`python quietly.py COMMAND ...`, for the Makefile: it needs nothing but Python. Its exit code is that of the command. If
standard output is not a terminal, the line is written once a minute.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time

TICK_SECONDS = 1.0
EVERY_SECONDS = 60.0


class Line:
    """The newest line of the command, with the time that it has taken."""

    def __init__(self) -> None:
        self._began = self._written = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def show(self, text: str) -> None:
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self._began), 60)
        line = f"  {minutes}:{seconds:02} {text}"
        if self._terminal:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns or 80  # COLUMNS may be that of another terminal
            print(f"\r\033[K{line[: columns - 1]}", end="", flush=True)
        elif now - self._written >= EVERY_SECONDS:
            self._written = now
            print(line, flush=True)

    def clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", flush=True)


def main(command: list[str]) -> int:
    line = Line()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        said = follow(process, line)
        code = process.wait()
    except KeyboardInterrupt:  # the command gets it too
        said, code = b"", 130
        process.wait()
    line.clear()
    if code:
        sys.stdout.buffer.write(said)
        sys.stdout.flush()
    return code if code >= 0 else 128 - code


def follow(process: subprocess.Popen[bytes], line: Line) -> bytes:
    """All that the command writes; meanwhile the line shows the newest of it."""
    assert process.stdout is not None
    said = bytearray()
    newest = ""
    while True:
        if select.select([process.stdout], [], [], TICK_SECONDS)[0]:
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                return bytes(said)
            said += data
            newest = shown(said) or newest
        line.show(newest)


def shown(said: bytearray) -> str:
    """The last line that is not blank, without anything that controls a terminal."""
    tail = said[-4096:].decode("utf-8", "replace")
    lines = ("".join(filter(str.isprintable, line)).strip() for line in tail.splitlines())
    return next(filter(None, reversed([*lines])), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
