"""Documents of an earlier agentd are cut anew in the background, whatever the disk says."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agentd.errors import StateError
from workers.recut import Recut


class Documents:
    """Raises its faults, one each; then `done` is set."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.done = asyncio.Event()

    async def cut_anew(self) -> int:
        if self.faults:
            raise self.faults.pop(0)
        self.done.set()
        return 3


async def test_it_is_done_after_the_start_and_again_if_the_disk_refused_it(caplog: pytest.LogCaptureFixture) -> None:
    documents = Documents(StateError("the disk is full"), OSError("worse"))
    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(Recut(documents, first=0, every=0).run(), name="recut")
        async with asyncio.timeout(60):
            await documents.done.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert "the disk is full" in caplog.text and "worse" in caplog.text
