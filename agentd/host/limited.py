"""The first thing that every child of agentd does: `python -m agentd.host.limited MODULE PARENT LIMITS ...`.

It sets its limits and then becomes MODULE. It imports little, because every child has to wait for that.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import runpy
import signal
import sys
from collections.abc import Sequence

OOM_SCORE = 500
"""The least badness of a child: if memory runs out, the kernel ends the child before its parent (proc(5))."""
NO_MEMORY = 87
"""The exit code of a child that ran out of memory while Python could still say so."""
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Set the limits, then become `MODULE`."""
    module, parent, told, *rest = arguments
    end_with(int(parent))
    apply(**json.loads(told))
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except MemoryError:
        os._exit(NO_MEMORY)  # everything else that Python does at its end needs memory, too


def apply(*, memory: int | None, processor: int | None, files: int | None, file_size: int | None) -> None:
    """Limit this process and its children from now on; see `limits.ChildLimits`."""
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_DATA, memory)
    _set(resource.RLIMIT_CPU, processor, beyond=1)
    _set(resource.RLIMIT_NOFILE, files)
    _set(resource.RLIMIT_FSIZE, file_size)
    if sys.platform == "linux":
        _be_ended_first()


def _set(kind: int, most: int | None, *, beyond: int = 0) -> None:
    """`beyond` is how far the hard limit is above the soft one, at which a signal comes."""
    if most is None:
        return
    _, hard = resource.getrlimit(kind)
    highest = most + beyond if hard == resource.RLIM_INFINITY else min(most + beyond, hard)
    resource.setrlimit(kind, (min(most, highest), highest))


def _be_ended_first() -> None:
    with open("/proc/self/oom_score_adj", "r+") as file:
        if int(file.read()) < OOM_SCORE:
            file.seek(0)
            file.write(str(OOM_SCORE))


def end_with(parent: int) -> None:
    """Die when the parent dies, even if it died before this call; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the process that started this one is gone")


if __name__ == "__main__":
    main(sys.argv[1:])
