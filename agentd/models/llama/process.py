"""One child process that runs a model: starts it, exchanges messages with it, watches it, and ends it."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agentd.errors import ModelError
from agentd.host.limited import NO_MEMORY
from agentd.host.limits import ChildLimits, end, start
from agentd.models.llama.answer import Answer, ChildDied, Opened, Placed, Tokens, Vectors, Working
from agentd.models.llama.ways import rebuild_hint
from agentd.models.llama.wire import (
    Called,
    Cancel,
    Count,
    Counted,
    Embed,
    Embedded,
    Ended,
    Frames,
    FromChild,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    OpenedEmbedder,
    OpenEmbedder,
    Paced,
    Ping,
    Pong,
    Progress,
    Queued,
    Refused,
    Said,
    Started,
    ToChild,
    Warm,
    Warmed,
    decode_from_child,
    encode,
)
from agentd.ports.generation import Finish, QueuePosition, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from agentd.ports.models import Pace

log = logging.getLogger(__name__)
_Reply = Queued | Started | Progress | Called | Ended | Refused | Counted | Warmed | OpenedEmbedder | Embedded

MODULE = "agentd.models.llama.child"
LIMITS = ChildLimits(files=1024, file_size=1 << 30)
"""`memory` limits its memory, depending on what it loads; the heartbeat and the limits of requests limit its time."""
child_log = logging.getLogger(MODULE)
"""What the child writes to its standard error."""
LOG_LINES, LOG_WIDTH = 500, 500
"""What is logged of a child: so many lines above debug level in its life, so many characters of each line."""
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGTRAP})
"""Signals that a process causes itself."""
_NAMES_A_CAUSE = re.compile("error|fail|assert|abort|terminate|exception|cannot|unable|bad_alloc|memory", re.IGNORECASE)
"""Only such a line of native code is given as the reason of an end; an unrelated warning is not."""
_LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
"""The first word of each line that the child's log writes."""
EXIT_SECONDS = 5.0


class _Connection(asyncio.Protocol):
    """Passes on each message when it arrives, so that no task has to be woken between the socket and an answer."""

    def __init__(self, take: Callable[[FromChild], None]) -> None:
        self._take = take
        self._frames = Frames()
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Set when the connection ends: what was wrong with the messages, "" if nothing was."""

    def data_received(self, data: bytes) -> None:
        if self.closed.done():
            return
        try:
            for body in self._frames.feed(data):
                self._take(decode_from_child(body))
        except ValueError as error:  # pydantic's ValidationError is one too
            self.closed.set_result(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            log.debug("connection to the model's process: %s", error)
        if not self.closed.done():
            self.closed.set_result("")


class Process:
    """Use it as `async with`; the child has ended when the block is left.

    It is pinged every `beat` seconds, and killed if it does not answer `beats` pings in a row.
    """

    def __init__(self, *, beat: float, beats: int) -> None:
        self._beat, self._beats = beat, beats
        self._answers: dict[int, Answer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._cause = ""
        """The newest line of the child that names a reason for its end."""
        self._lines = 0
        self._unanswered = 0
        self._hung = False
        self.pace: Pace | None = None
        """What the child reported last; None if it knows nothing about its speed."""
        self._broke = False
        self.fault = False
        """It ended because of the chat model: it crashed, hung or gave up, and nobody ended it from outside."""

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return not self._end.done()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        level = logging.DEBUG if child_log.isEnabledFor(logging.DEBUG) else logging.INFO
        self._loaded: asyncio.Future[Loaded | LoadFailed] = loop.create_future()
        self._end: asyncio.Future[str] = loop.create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            self._transport, self._connection = await loop.create_unix_connection(
                lambda: _Connection(self._take), sock=ours
            )
            try:
                descriptor = theirs.fileno()
                self._child = await start(MODULE, (str(descriptor), str(level)), LIMITS, pass_fds=(descriptor,))
            except BaseException:
                self._transport.abort()
                raise
        self._log = loop.create_task(self._log_lines(), name="llama child's log")
        self._tasks = [
            loop.create_task(self._listen(), name="llama child's messages"),
            loop.create_task(self._watch(), name="llama child's heartbeat"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended("it was stopped")
        for task in self._tasks:
            task.cancel()
        self._kill()
        self._transport.abort()
        await asyncio.gather(*self._tasks, self._log, self._child.wait(), return_exceptions=True)

    def _kill(self) -> None:
        end(self._child)

    # --- Asking ------------------------------------------------------------------------------------------------------

    async def load(self, message: Load) -> Loaded:
        """`ModelError` if the model cannot be used; `ChildDied`."""
        self._send(message)
        await asyncio.wait((self._loaded, self._end), return_when=asyncio.FIRST_COMPLETED)
        if not self._loaded.done():
            raise ChildDied(f"while it loaded the model: {self._end.result()}")
        loaded = self._loaded.result()
        if isinstance(loaded, LoadFailed):
            raise ModelError(loaded.reason)
        return loaded

    async def ended(self) -> str:
        """Wait for the end of the child, and say how it ended."""
        return await asyncio.shield(self._end)

    def ask(self, message: Generate | Count | Warm | OpenEmbedder | Embed) -> Answer:
        """Send this request; its answer must be given back with `leave`."""
        answer = Answer(message.id)
        if self._end.done():
            answer.fail(ChildDied(self._end.result()))
            return answer
        self._send(message)
        self._answers[message.id] = answer
        return answer

    def leave(self, answer: Answer) -> None:
        """Nobody reads this answer any more; the child drops the request within a step."""
        answer.close()
        if self._answers.pop(answer.number, None) is not None and not self._end.done():
            self._send(Cancel(id=answer.number))

    def _send(self, message: ToChild) -> None:
        self._transport.write(encode(message))

    # --- Listening ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            self._ended(await self._read())
        finally:
            self._ended("its messages could not be read")  # counts only if no reason is known yet

    async def _read(self) -> str:
        """Wait for the end of the connection, and say how the child ended."""
        if problem := await self._connection.closed:
            log.error("the process of the model sent something that is not a message: %s", problem)
            self._kill()
            self._broke = True
            return "it sent something that is not a message"
        return await self._how_it_ended()

    def _ended(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)
            self.fault = self._broke and min(self._answers, default=1) > 0  # an embedder's requests count down
        for answer in self._answers.values():
            answer.fail(ChildDied(self._end.result()))
        self._answers.clear()

    def _take(self, message: FromChild) -> None:
        match message:
            case Said():
                for number, reasoning, text in message.items:
                    if answer := self._answers.get(number):
                        answer.put(_said(text, reasoning=reasoning))
            case Pong():
                self._unanswered = 0
            case Loaded() | LoadFailed():
                if isinstance(message, Loaded):
                    self.pace = _pace(message)
                self._cause = ""  # what was written so far came from failed trials
                self._loaded.set_result(message)
            case Paced():
                self.pace = _pace(message)
            case _:
                if answer := self._answers.get(message.id):
                    self._pass_on(answer, message)

    def _pass_on(self, answer: Answer, message: _Reply) -> None:
        match message:
            case Queued():
                answer.put(QueuePosition(position=message.position))
            case Started():
                answer.put(Placed(reading=message.reading))
            case Progress():
                answer.put(Reading(done=message.done, total=message.total, seconds=message.seconds))
            case Counted() | Warmed():
                answer.put(Tokens(count=message.tokens))
            case OpenedEmbedder():
                answer.put(Opened(dimension=message.dimension))
            case Embedded():
                answer.put(Vectors(data=message.vectors))
            case Called():
                answer.put(
                    ToolCallDelta(
                        index=message.index, call_id=message.call_id, name=message.tool, arguments=message.arguments
                    )
                )
            case Ended():
                answer.put(
                    Usage(
                        prompt_tokens=message.prompt_tokens,
                        cached_tokens=message.cached_tokens,
                        completion_tokens=message.completion_tokens,
                        read_seconds=message.read_seconds,
                        write_seconds=message.write_seconds,
                    )
                )
                answer.put(Finish(reason=message.reason))
            case Refused():
                answer.fail(ModelError(message.reason))
        if not isinstance(message, Queued | Started | Progress | Called):
            del self._answers[answer.number]

    async def _how_it_ended(self) -> str:
        """The socket is closed: the child has ended, or is killed now."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                code = await self._child.wait()
        except TimeoutError:
            self._kill()
            self._broke = True
            return "it closed its connection without ending"
        await asyncio.wait((self._log,), timeout=EXIT_SECONDS)
        self._broke = self._hung or code >= 0 or -code in _FAULTS
        if self._hung:
            return f"it did not answer for {self._beat * self._beats:g} s and was killed"
        said = f" ({self._cause})" if self._cause else ""
        if code == NO_MEMORY:
            return "it needed more memory than it may have"
        if code >= 0:
            return f"it ended with exit code {code}{said}"
        return f"it was killed by {signal.Signals(-code).name}{_hint(-code) or said}"

    async def _watch(self) -> None:
        """Counts unanswered pings instead of time, so that the child is not blamed if the daemon itself was asleep."""
        await asyncio.wait((self._loaded,))
        for number in range(sys.maxsize):
            if self._unanswered >= self._beats:
                self._hung = True
                self._kill()
                return
            self._unanswered += 1
            self._send(Ping(n=number))
            await asyncio.sleep(self._beat)

    async def _log_lines(self) -> None:
        """Log the child's standard error line by line, within the limits of this module."""
        assert self._child.stderr is not None
        held = b""
        while data := await self._child.stderr.read(4096):
            *whole, held = (held + data).split(b"\n")
            held = held[-4096:]
            for line in whole:
                self._log_line(line)
        self._log_line(held)

    def _log_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()[:LOG_WIDTH]
        if not text:
            return
        first, _, rest = text.partition(" ")
        level = _LEVELS.get(first, logging.WARNING)  # a line without a level comes from native code that fails
        said = rest if first in _LEVELS else text
        if level == logging.DEBUG:
            child_log.debug("model process %d: %s", self._child.pid, said)
            return
        if level >= logging.ERROR or (first not in _LEVELS and _NAMES_A_CAUSE.search(said)):
            self._cause = said
        self._lines += 1
        if self._lines <= LOG_LINES:
            child_log.log(level, "model process %d: %s", self._child.pid, said)
        elif self._lines == LOG_LINES + 1:
            log.warning("model process %d wrote more than %d lines; the rest is dropped", self._child.pid, LOG_LINES)


def _pace(message: Loaded | Paced) -> Pace | None:
    return Pace(read=message.read_tps, write=message.write_tps) if message.read_tps else None


def _hint(number: int) -> str:
    """What a signal often means; "" if it means nothing in particular."""
    match number:
        case signal.SIGKILL:
            return "; often this means that the machine was out of memory"
        case signal.SIGILL:
            return f": llama.cpp was built for another processor; build it on this machine: {rebuild_hint()}"
    return ""


def _said(text: str, *, reasoning: bool) -> TextDelta | ReasoningDelta | Working:
    if not text:
        return Working()
    return ReasoningDelta(text=text) if reasoning else TextDelta(text=text)
