"""One process writes a state directory: an flock on its `lock` file, which also names the process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from agentd.errors import StateError, StateInUse


def _command(pid: int) -> str:
    """What that process runs, in brackets, where the system tells it; a chat holds a directory as well as a daemon."""
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
        """Makes the directory where it is missing. Raises `StateInUse` with the holder's pid, or `StateError`."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"the state directory {self._path.parent} cannot be used: {error.strerror}; "
                "make it writable or choose another one with --state-dir."
            ) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = self._holder()
            os.close(self._fd)
            who = f"process {pid}{_command(pid)}" if pid else "another process"
            raise StateInUse(
                f"the state directory {self._path.parent} is in use by {who}; "
                "stop it, or choose another one with --state-dir.",
                pid=pid,
            ) from None
        # Nothing depends on the pid but the message above, so that a full disk does not matter here.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def _holder(self) -> int | None:
        with suppress(OSError, ValueError):
            return int(os.pread(self._fd, 32, 0))
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
