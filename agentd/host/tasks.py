"""Tasks that run as long as the process does: waiting for them, and ending them within a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)


async def until_stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Returns when `stop` is set; raises what a task crashed with, for none of them may end before."""
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
    """Cancel what still runs; what has not ended after `limit` seconds is named in the log and left."""
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=limit)
    for task in stuck:
        log.error("the %s did not end within %g s; leaving it behind", task.get_name(), limit)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("the %s failed", task.get_name(), exc_info=error)
