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
    """The file says which callback took most of the processor, and how much, since the file was removed."""
    handles: Any = asyncio.events.Handle
    run = handles._run
    heaviest = 0.0

    def timed(handle: asyncio.Handle) -> None:
        nonlocal heaviest
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > _TOLD and (took > heaviest or not path.exists()):
            heaviest = took
            path.write_text(json.dumps({"seconds": took, "callback": f"{_task_of(handle)}{handle!r}"[:500]}))

    handles._run = timed


def _task_of(handle: Any) -> str:
    """The task that the callback was a step of: its name and where it is now."""
    task = getattr(handle._callback, "__self__", None)
    return f"{task!r} " if isinstance(task, asyncio.Task) else ""


def heaviest(path: Path) -> tuple[float, str]:
    """Seconds of the processor, and which callback took them."""
    if not path.exists():
        return 0.0, ""
    told = json.loads(path.read_text())
    return told["seconds"], told["callback"]


if __name__ == "__main__":
    watch(Path(os.environ["WATCHED"]))
    sys.exit(main())
