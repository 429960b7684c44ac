"""Waits for tasks that run as long as the process, and ends them within a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)


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
