"""Memory that is free again goes back to the system, even if something small lies behind it in the heap."""

from __future__ import annotations

import subprocess
import sys

import pytest

GROWN = """
import asyncio, sys
from agentd.host import heap, threads
from workers.trimming import Trimming

async def main():
    threads.share()
    worker = asyncio.create_task(Trimming(every=0.01).run(), name="trimming")
    await asyncio.sleep(0)
    before = heap.resident()
    blocks = [b"x" * (size * 1000) for _ in range(600) for size in (100, 1)]
    grown = heap.resident() - before
    small = blocks[1::2]  # one after each large one, so that free(3) cannot give anything back
    blocks.clear()
    async with asyncio.timeout(30):
        while heap.resident() - before > grown / 4:
            await asyncio.sleep(0.01)
    worker.cancel()
    print(grown >> 20, len(small))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim(3) is glibc's")
def test_what_was_needed_once_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, timeout=120, check=True)
    grown, small = map(int, said.stdout.split())
    assert grown > 50 and small == 600
