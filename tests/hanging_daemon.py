"""`python -m tests.hanging_daemon run ...`: the real daemon, of which a part hangs once HANGING_AT names a file.

Its content says which: "sync" a thread in a sync of the pending directory, "commit" the writer of a database, "loop"
the event loop, as soon as there is work for them; "interpreter" a thread that gives the interpreter to nobody, when the
signal to stop was heard.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from agentd.cli import main
from agentd.cli.stopping import StopSignals
from agentd.host.files import OsFiles
from agentd.pending import PendingDirectory
from agentd.storage.store import Store

P = ParamSpec("P")
R = TypeVar("R")


def _hangs(what: str) -> bool:
    try:
        return Path(os.environ["HANGING_AT"]).read_text() == what
    except OSError:
        return False


def hanging(what: str, work: Callable[P, R]) -> Callable[P, R]:
    """The same work, which never begins once this is what hangs."""

    def perhaps(*args: P.args, **kwargs: P.kwargs) -> R:
        if _hangs(what):
            print(f"{what} hangs", flush=True)
            threading.Event().wait()
        return work(*args, **kwargs)

    return perhaps


def computing(work: Callable[P, R]) -> Callable[P, R]:
    def perhaps(*args: P.args, **kwargs: P.kwargs) -> R:
        done = work(*args, **kwargs)
        if _hangs("interpreter"):
            ctypes.PyDLL(None).sleep(3600)
        return done

    return perhaps


if __name__ == "__main__":
    OsFiles.sync = hanging("sync", OsFiles.sync)  # type: ignore[method-assign]
    Store._commit = hanging("commit", Store._commit)  # type: ignore[method-assign]
    PendingDirectory.begin = hanging("loop", PendingDirectory.begin)  # type: ignore[method-assign]
    StopSignals._asked = computing(StopSignals._asked)  # type: ignore[method-assign]
    sys.exit(main())
