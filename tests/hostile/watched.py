"""agentd with a watch on its event loop: the processor time of its heaviest callback goes to the file WATCHED."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from agentd.cli import main

_TOLD = 0.02
"""Seconds from which a callback is worth a line."""


def watch(path: Path) -> None:
    """Whenever a callback took more of the processor than any before it, the file says how much and which."""
    handles: Any = asyncio.events.Handle
    run = handles._run
    heaviest = _TOLD

    def timed(handle: asyncio.Handle) -> None:
        nonlocal heaviest
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > heaviest:
            heaviest = took
            path.write_text(json.dumps({"seconds": took, "callback": repr(handle)[:500]}))

    handles._run = timed


def heaviest(path: Path) -> tuple[float, str]:
    """Seconds of the processor, and which callback took them."""
    if not path.exists():
        return 0.0, ""
    told = json.loads(path.read_text())
    return told["seconds"], told["callback"]


if __name__ == "__main__":
    watch(Path(os.environ["WATCHED"]))
    sys.exit(main())
