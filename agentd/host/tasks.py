"""Tasks that run as long as the process: what is done once a day, waiting for them, and ending them within a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agentd.errors import AgentdError

log = logging.getLogger(__name__)

DAY_SECONDS = 24 * 3600.0


async def daily(
    work: Callable[[], Awaitable[object]], trouble: str, *, first: float, every: float = DAY_SECONDS
) -> None:
    """Do `work` after `first` seconds and then once a day, until cancelled.

    If the disk refuses it, `trouble` says in the log what could not be done, and it is tried again a day later.
    """
    await asyncio.sleep(first)
    while True:
        try:
            await work()
        except (AgentdError, OSError) as error:
            log.warning("%s (again in a day): %s", trouble, error)
        await asyncio.sleep(every)


async def until_stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Returns when `stop` is set. No task may end before that: if one crashes, its error is raised."""
    stopping = asyncio.create_task(stop.wait(), name="wait for stop")
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in tasks:
        if task in done:
            task.result()
            raise RuntimeError(f"the {task.get_name()} ended by itself")


async def end(tasks: Sequence[asyncio.Task[None]], limit: float) -> None:
    """Cancel the tasks; the log names those that have not ended after `limit` seconds, and they are left behind."""
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=limit)
    for task in stuck:
        log.error("the %s did not end within %g s; leaving it behind", task.get_name(), limit)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("the %s failed", task.get_name(), exc_info=error)
