"""The state of the storage: whether it takes more, and which files a person must look at."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agentd.errors import StateError
from agentd.host.files import explain
from agentd.pending import PendingDirectory
from agentd.storage.store import Store


class Stored:
    """The pending directory and the databases below `state_dir`."""

    def __init__(self, state_dir: Path, pending: PendingDirectory, stores: Sequence[Store] = ()) -> None:
        self.pending = pending
        self._state_dir = state_dir
        self._stores = stores

    async def refusals(self) -> list[str]:
        """Why messages are refused or cannot be answered at the moment; empty if all is well."""
        await self.pending.look()
        problems = [self.pending.problem]
        for store in self._stores:
            if store.problem:
                await store.probe()
            problems.append(store.problem)
        return [problem for problem in problems if problem]

    async def lying_there(self) -> tuple[int, Counter[str], int]:
        """Free bytes, dead letters by reason, and the number of files set aside; nothing if the disk hangs.

        `StateError` if they cannot be read, for example because somebody has removed the state directory.
        """
        if self.pending.silent:
            return 0, Counter(), 0
        free = await asyncio.to_thread(_free, self._state_dir)
        dead = Counter(_kind(letter.reason) for letter in await self.pending.dead())
        return free, dead, len(await self.pending.corrupt())


def _free(directory: Path) -> int:
    try:
        return shutil.disk_usage(directory).free
    except OSError as error:
        raise StateError(f"{directory} cannot be read: {explain(error)}.") from error


def _kind(reason: str) -> str:
    """A reason without the attempts and the age, which differ from letter to letter."""
    if reason.startswith("given up after"):
        return f"given up: {reason.partition(': ')[2]}"
    return "not delivered in time" if reason.startswith("not delivered within") else reason
