"""States of llama.cpp's cache on disk: the beginnings of prompts that were read before, for later starts.

Each state is a file whose name depends on the model and the tokens. Only complete files that this user wrote and nobody
else may write are read, because llama.cpp trusts a state.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentd.models.llama.spill import State

log = logging.getLogger(__name__)

NAME = ".warm"
"""Of the directory, in the directory of models."""
SUFFIX = ".state"
MAGIC = b"agentd state 1\n"
MOST, MOST_BYTES = 8, 512 * 1024 * 1024
"""Files that are kept, and bytes of all of them; the file that was used longest ago is deleted first."""
_DIGEST = 32


class Snapshots:
    """`about` names everything that a state depends on besides its tokens. With a `directory` None nothing is kept."""

    def __init__(self, directory: Path | None, about: str) -> None:
        self._directory = directory
        self._about = about.encode()

    def find(self, tokens: Sequence[int]) -> State | None:
        """The state of exactly these tokens; None if there is none, or none that can be trusted."""
        if self._directory is None:
            return None
        path = self._path(self._directory, tokens)
        try:
            data = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read (%s); the prompt is read again", path, error.strerror)
            return None
        head = len(MAGIC) + _DIGEST
        state = memoryview(data)[head:]
        if bytes(data[:head]) != MAGIC + self._digest(tokens, state):
            log.warning("%s is damaged; the prompt is read again", path)
            return None
        _touch(path)
        return np.frombuffer(state, np.uint8)

    def put(self, tokens: Sequence[int], state: State) -> None:
        """Keep this state; if it cannot be written, that is only logged."""
        size = state.nbytes + len(MAGIC) + _DIGEST
        if self._directory is None or size > MOST_BYTES:
            return
        path = self._path(self._directory, tokens)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_room(self._directory, size)
            beside.unlink(missing_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(MAGIC + self._digest(tokens, state.data))
                file.write(state.data)
            os.replace(beside, path)
        except OSError as error:  # the next write deletes what was written
            log.warning("%s cannot be written: %s", path, error.strerror)

    def _path(self, directory: Path, tokens: Sequence[int]) -> Path:
        found = hashlib.sha256(self._about + b" " + array("i", tokens).tobytes())
        return directory / f"{found.hexdigest()[:32]}{SUFFIX}"

    def _digest(self, tokens: Sequence[int], state: memoryview) -> bytes:
        found = hashlib.blake2b(self._about, digest_size=_DIGEST)
        found.update(array("i", tokens).tobytes())
        found.update(state)
        return found.digest()


def _read(path: Path) -> bytes:
    """`OSError` if somebody else wrote the file or may write it."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(1, "somebody else may have written it")
        if found.st_size > MOST_BYTES:
            raise OSError(27, "it is too large")
        return file.read()


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError as error:
        log.debug("%s cannot be touched: %s", path, error.strerror)


def _make_room(directory: Path, size: int) -> None:
    """Make room for one more file, and delete the leftovers of unfinished writes."""
    found = []
    for path in directory.iterdir():
        if path.suffix != SUFFIX:
            path.unlink(missing_ok=True)
            continue
        state = path.stat()
        found.append((state.st_mtime, state.st_size, path))
    found.sort(reverse=True)
    kept = 0
    for n, (_, bytes_, path) in enumerate(found):
        kept += bytes_
        if n >= MOST - 1 or kept + size > MOST_BYTES:
            path.unlink(missing_ok=True)
