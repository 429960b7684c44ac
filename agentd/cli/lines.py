"""The conversation in plain lines, without escape sequences: for pipes, simple terminals and people who want it.

Each line is sent when it is read; the next one is read after its answer. A backslash at the end of a line continues it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TextIO

from agentd.cli.advice import Explanation
from agentd.cli.output import source_lines
from agentd.cli.repl.actions import Actions
from agentd.cli.repl.link import Connect, Link
from agentd.cli.repl.transcript import Transcript
from agentd.cli.say import put, say
from agentd.errors import AgentdError, UsageError
from agentd.serving.protocol import Answer, HistoryMessage

LEAVE_SECONDS = 2.0
INTERRUPTED = 130
READ_BYTES = 65536


class PlainDisplay:
    """Implements `repl.display.Display`: answers go to one stream, everything else to another."""

    def __init__(self, answers: TextIO, words: TextIO) -> None:
        self._answers = answers
        self._words = words
        self._shown = ""
        self._explanation = Explanation()
        self._changed = asyncio.Event()

    def asked(self, text: str, *, here: bool = True) -> None:
        """A line that was typed here is on the screen already."""
        if not here:
            put(self._words, f"> {text}\n")

    def reading(self, text: str) -> None:
        if self._words.isatty():
            self.note(text)

    def draft(self, text: str) -> None:
        if not text.startswith(self._shown):
            self.restarted()
        put(self._answers, text[len(self._shown) :])
        self._shown = text

    def restarted(self) -> None:
        if self._shown:
            put(self._answers, "\n\n")
        self._shown = ""

    def answered(self, answer: Answer) -> None:
        if answer.outcome == "error":
            self.restarted()
            self.error(answer.text)
            return
        self.draft(answer.text)
        stopped = "\n(stopped)" if answer.outcome == "interrupted" else ""
        lines = [stopped, *([""] if answer.citations else []), *source_lines(answer.citations)]
        put(self._answers, "\n".join(lines) + "\n")
        self._shown = ""
        if self._words.isatty() and (words := self._explanation.below(answer)):
            self.note(words)

    def remembered(self, messages: tuple[HistoryMessage, ...]) -> None:
        for message in messages:
            put(self._words, f"> {message.text}\n" if message.role == "user" else f"{message.text}\n")

    def note(self, text: str) -> None:
        say(text, self._words)

    def error(self, text: str) -> None:
        say(f"agentd: {text}", self._words)

    async def flush(self) -> None:
        put(self._answers, "", flush=True)
        put(self._words, "", flush=True)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns as soon as the condition holds after something was shown."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class Lines:
    """Build it before the first connection; `run` ends with the input."""

    def __init__(self, connect: Connect, stdin: TextIO, stdout: TextIO, words: TextIO) -> None:
        self._input = stdin
        self._display = PlainDisplay(stdout, words)
        self._transcript = Transcript(self._display)
        self._prompt = "> " if stdin.isatty() and stdout.isatty() else ""
        self._stdout = stdout
        self._interrupted_at = -LEAVE_SECONDS
        self.link = Link(self._transcript, self._display, connect)
        self._actions = Actions(self.link, self._display, lambda text: None)

    async def run(self, session: str | None) -> int:
        """Follow the session until the input ends; returns the exit code."""
        if self._prompt and (who := await self.link.who_answers()):
            self._display.note(who)
        await self.link.follow(session)
        if self._prompt and (waiting := await self.link.unread()):
            self._display.note(waiting)
        await self._display.flush()
        interrupts: asyncio.Queue[None] = asyncio.Queue(4)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, _note, interrupts)
        talk = asyncio.create_task(self._talk(), name="lines")
        link = asyncio.create_task(self.link.run(), name="connection of the chat")
        keys = asyncio.create_task(self._interrupts(interrupts), name="interrupts")
        try:
            await asyncio.wait([talk, link, keys], return_when=asyncio.FIRST_COMPLETED)
            return INTERRUPTED if keys.done() else await _first(talk, link)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            for task in (talk, link, keys):
                task.cancel()
            await asyncio.wait([talk, link, keys])

    async def _talk(self) -> int:
        if self._prompt:
            self._display.note("Ask something; /help lists the commands, Ctrl-D leaves.")
        async for text in self._messages():
            if not await self._actions.perform(text):
                break
            await self._display.until(lambda: self._transcript.idle)
        return 0

    async def _messages(self) -> AsyncIterator[str]:
        lines: list[str] = []
        self._ask_for("")
        async for line in read_lines(self._input.fileno()):
            lines.append(line)
            if line.endswith("\\"):
                lines[-1] = line[:-1]
                self._ask_for("… ")
                continue
            yield "\n".join(lines)
            lines.clear()
            self._ask_for("")
        if lines:
            yield "\n".join(lines)
        if self._prompt:
            say("", self._stdout)

    def _ask_for(self, prompt: str) -> None:
        if self._prompt:
            put(self._stdout, prompt or self._prompt, flush=True)

    async def _interrupts(self, interrupts: asyncio.Queue[None]) -> None:
        """Returns when the person wants to leave."""
        while True:
            await interrupts.get()
            if self._prompt and self._actions.asking:
                say("", self._stdout)
                self._actions.dismiss()
                self._ask_for("")
                continue
            if self._transcript.running and not self._transcript.stopping:
                with suppress(AgentdError):
                    await self.link.stop()
                continue
            if not self._prompt or time.monotonic() - self._interrupted_at < LEAVE_SECONDS:
                return
            self._interrupted_at = time.monotonic()
            self._display.note("\nCtrl-C again leaves")
            self._ask_for("")


def _note(interrupts: asyncio.Queue[None]) -> None:
    with suppress(asyncio.QueueFull):
        interrupts.put_nowait(None)


async def _first(talk: asyncio.Task[int], link: asyncio.Task[None]) -> int:
    """Wait for the first task; raises its error if one ended the conversation."""
    if link.done():
        link.result()
    return await talk


async def read_lines(fd: int) -> AsyncIterator[str]:
    """Lines of a terminal, a pipe or a file without their ends, decoded as UTF-8, without blocking the loop."""
    data = b""
    while more := await _read(fd):
        *lines, data = (data + more).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
    if data:
        yield data.decode("utf-8", "replace")


async def read_all(fd: int, most: int) -> bytes:
    """The whole input, or its first `most` bytes."""
    data = b""
    while len(data) < most and (more := await _read(fd)):
        data += more
    return data[:most]


async def _read(fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(fd, _resolve, ready)
    except OSError:
        return _ready_bytes(fd)  # a regular file, which never blocks and which epoll refuses
    try:
        await ready
    finally:
        loop.remove_reader(fd)
    return _ready_bytes(fd)


def _ready_bytes(fd: int) -> bytes:
    try:
        return os.read(fd, READ_BYTES)
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror}.") from None


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def standard_lines(connect: Connect) -> Lines:
    """A conversation over this process's own input and output."""
    return Lines(connect, sys.stdin, sys.stdout, sys.stderr)
