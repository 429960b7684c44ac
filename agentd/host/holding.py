"""One at a time for each key, whoever asks and whoever leaves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class Holding:
    """The keys for which something is done at the moment."""

    def __init__(self) -> None:
        self._held: dict[str, asyncio.Task[Any]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run `work` while holding the key; it completes even if the caller is cancelled."""
        while (held := self._held.get(key)) is not None:
            await asyncio.wait([held])
        task = asyncio.create_task(work(), name=f"held: {key}")
        self._held[key] = task
        task.add_done_callback(lambda _: self._held.pop(key, None))
        return await asyncio.shield(task)
