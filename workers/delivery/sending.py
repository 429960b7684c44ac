"""One send: hand an event to its channel, within a limit, and turn whatever comes of it into a value."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentd.errors import AgentdError, DeliveryFailure, Permanent, Retry, Wait
from agentd.events import OutboundEvent
from agentd.ports.channels import Channel, Confirmation
from agentd.ports.work import PendingTurn, Progress

log = logging.getLogger(__name__)

STORAGE_ERRORS = (AgentdError, OSError)
"""What a move of the pending directory raises."""

CANCEL_SECONDS = 5.0
"""How long a channel may take to give up a send that it was asked to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    how: Literal["taken", "history"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """It went out; `confirmation` will tell whether it arrived."""

    confirmation: Confirmation


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Not this time. `uncertain`: the platform may have it all the same."""

    error: Retry | Wait | Permanent
    uncertain: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class NotLogged:
    """Our own disk did not take a line that had to come first, so it was not sent."""

    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unacknowledged:
    """Nobody acknowledged within the limit what was written."""

    error: str


class PartLog:
    """Implements `ports.PartDone` on the pending directory.

    A part that the platform has confirmed is never sent again by this process, even if its line cannot be
    written: `done` keeps it in memory.
    """

    def __init__(self, pending: Progress, turn: PendingTurn, *, repeat: bool, done: int = 0) -> None:
        self._pending = pending
        self._turn = turn
        self._repeat = repeat
        self.done = max(done, turn.parts_done)
        self.moved = False
        self.failure: Exception | None = None

    @property
    def repeat(self) -> bool:
        return self._repeat

    async def begin(self, parts: Sequence[str]) -> tuple[Sequence[str], int]:
        self.moved = True
        if self._turn.parts:
            return self._turn.parts, self.done
        try:
            self._turn = await self._pending.sending(self._turn.id, parts)
        except STORAGE_ERRORS as error:
            self.failure = error
            raise
        return self._turn.parts, self.done

    async def part(self, n: int) -> None:
        self.moved = True
        self.done = max(self.done, n + 1)
        try:
            await self._pending.part_done(self._turn.id, n)
        except STORAGE_ERRORS as error:
            log.warning("part %d of %s is confirmed, but that could not be noted: %s", n, self._turn.id, error)


SendResult = Taken | Written | Failed | NotLogged


async def send(channel: Channel, event: OutboundEvent, progress: PartLog, *, limit: float) -> SendResult:
    """Send one event; `limit` is in seconds without any progress.

    When the caller is cancelled the channel's send is cancelled too, and CancelledError raised, unless the channel
    has its answer already: that is returned, so that nothing that was sent goes unnoticed.
    """

    async def call() -> Confirmation | Literal["taken", "history"]:
        return await channel.send(event, progress)

    sender = asyncio.create_task(call(), name=f"{channel.name} sends {event.id}")
    try:
        while not sender.done():
            progress.moved = False
            await asyncio.wait({sender}, timeout=limit)
            if not progress.moved:
                break
    except asyncio.CancelledError:
        if not await _end(sender) or sender.cancelled():
            raise
    else:
        if not sender.done():
            await _end(sender)
            if not sender.done() or sender.cancelled():
                error = Retry(f"no progress within {limit:g} s; whether it arrived is unknown")
                return Failed(error=error, uncertain=True)
    failure = _failure(sender, f"{channel.name} could not send {event.id}")
    if progress.failure is not None and failure is not None:
        return NotLogged(error=str(progress.failure))
    if failure is not None:
        return failure
    result = sender.result()
    if isinstance(result, str):
        return Taken(how=result)
    return Written(confirmation=result)


async def confirm(confirmation: Confirmation, name: str, *, limit: float) -> Taken | Failed | Unacknowledged:
    """Wait for an acknowledgement, at most `limit` seconds; cancellation is treated as in `send`."""

    async def call() -> Literal["taken", "history"]:
        return await confirmation.wait()

    waiter = asyncio.create_task(call(), name=f"acknowledgement of {name}")
    try:
        await asyncio.wait({waiter}, timeout=limit)
    except asyncio.CancelledError:
        if not await _end(waiter) or waiter.cancelled():
            raise
    else:
        if not waiter.done():
            await _end(waiter)
            if not waiter.done() or waiter.cancelled():
                return Unacknowledged(error=f"not acknowledged within {limit:g} s")
    failure = _failure(waiter, f"the acknowledgement of {name} failed")
    # It was written, so whoever was there may have it.
    return Taken(how=waiter.result()) if failure is None else Failed(error=failure.error, uncertain=True)


async def finish(write: Awaitable[None], name: str, *, limit: float) -> None:
    """Finish writing an outcome, even if the caller is cancelled: then within `limit` seconds."""

    async def call() -> None:
        await write

    task = asyncio.create_task(call(), name=name)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait({task}, timeout=limit)
        finally:
            if not task.done():
                log.error("%s did not end within %g s of the stop; it will be repeated after a restart", name, limit)
                task.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=1.0)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", name, exc_info=error)
        raise


async def _end(task: asyncio.Task[object]) -> bool:
    """Cancel a task and wait a moment; False, with a word in the log, when it does not end."""
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_SECONDS)
    if not task.done():
        log.error("%s ignores being cancelled", task.get_name())
    return task.done()


def _failure(task: asyncio.Task[object], what: str) -> Failed | None:
    """What an ended task raised, as a delivery failure; None when it returned."""
    if task.cancelled():
        return Failed(error=Retry("the channel gave up its own send"), uncertain=True)
    error = task.exception()
    match error:
        case None:
            return None
        case Retry():
            return Failed(error=error, uncertain=error.uncertain)
        case Wait() | Permanent():
            return Failed(error=error, uncertain=False)
        case DeliveryFailure():
            return Failed(error=Retry(str(error)), uncertain=False)
        case Exception():
            log.error("%s: %r", what, error, exc_info=error)
            return Failed(error=Retry(f"{type(error).__name__}: {error}"), uncertain=True)
        case _:
            raise error
