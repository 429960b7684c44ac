"""One process writes a state directory: an flock on its `lock` file, which also names the process."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from agentd.errors import StateError, StateInUse
from agentd.host.files import explain
from agentd.host.ownership import open_own, own_directory

_PID = re.compile(rb"\d*\n?")


def _command(pid: int) -> str:
    """The command of that process, in brackets, if the system tells it: it may be a chat instead of a daemon."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    names = [Path(word).name for word in words if word and not word.startswith("-")]
    shown = next((" ".join(names[n : n + 2]) for n, name in enumerate(names) if name == "agentd"), "")
    return f" (`{shown}`)" if shown else ""


class StateLock:
    """Held from `__enter__` to `__exit__`, or until the process ends, however that happens."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._fd = -1

    def __enter__(self) -> Self:
        """Makes the directory if it is missing. Raises `StateInUse` with the holder's pid, or `StateError`."""
        self._fd = self._opened()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = self._holder()
            os.close(self._fd)
            who = f"process {pid}{_command(pid)}" if pid else "another process"
            raise StateInUse(
                f"the state directory {self._path.parent} is in use by {who}; "
                "stop that process, or choose another directory with --state-dir.",
                pid=pid,
            ) from None
        self._sign()
        return self

    def _opened(self) -> int:
        try:
            own_directory(str(self._path.parent))
            return open_own(str(self._path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StateError(
                f"the state directory {self._path.parent} cannot be used: {explain(error)}; "
                "make it writable, or choose another one with --state-dir."
            ) from None

    def _sign(self) -> None:
        """Write our pid over an earlier one; a file with any other content is not agentd's and stays as it is."""
        # Only a message depends on the pid, so a full disk does not matter here.
        with suppress(OSError):
            if not _PID.fullmatch(os.pread(self._fd, 32, 0)):
                os.close(self._fd)
                raise StateError(f"{self._path} does not contain a process id; move it away and start again.")
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _holder(self) -> int | None:
        with suppress(OSError, ValueError):
            return int(os.pread(self._fd, 32, 0))
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
