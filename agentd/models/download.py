"""Bytes of an offer become a whole file: resumed, never more than was promised, and checked against its hash."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from huggingface_hub import constants
from huggingface_hub.file_download import http_get

from agentd.errors import Busy, ModelError, StateError
from agentd.models.hub import Offer, explained

SPARE_BYTES = 128 * 1024 * 1024
"""What must stay free on the disk, so that the daemon beside it goes on accepting messages."""
BLOCK = 1024 * 1024
# Of a block that did not arrive whole nothing is kept; the library's own blocks are ten times as large.
constants.DOWNLOAD_CHUNK_SIZE = BLOCK

Progress = Callable[[str, int, int], None]
"""Told what is done ("downloading", "checking", "copying"), how many bytes are done, and of how many."""


def fetch(offer: Offer, directory: Path, progress: Progress) -> tuple[Path, str]:
    """The whole file, in `directory`, and its sha256; an earlier download of the same file is gone on with.

    `ModelError` where the server fails or breaks its promise, `StateError` where the disk does, `Busy` where another
    process downloads the same. What can be gone on with is kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{offer.key[:32]}.part"
    with path.open("ab", buffering=0) as file, _alone(file, offer.url):
        begun = file.tell()
        if begun > offer.size:
            file.truncate(begun := 0)
        check_space(directory, offer.size - begun)
        try:
            _download(offer, file, begun, progress)
        except _Surplus:
            path.unlink()
            raise ModelError(
                f"{offer.url} sends more than the {offer.size} bytes that it promised; try later."
            ) from None
        except StateError as error:
            path.unlink()
            raise StateError(f"{error} The unfinished download was deleted; make room and pull again.") from None
    return path, _checked(offer, path, progress)


def copy(source: Path, directory: Path, progress: Progress) -> tuple[Path, str]:
    """A copy of a file of this machine, in `directory`, and its sha256."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{os.getpid()}.copy"
    digest, done = hashlib.sha256(), 0
    try:
        with source.open("rb") as original, path.open("wb") as file:
            size = os.fstat(original.fileno()).st_size
            check_space(directory, size)
            while block := original.read(BLOCK):
                file.write(block)
                digest.update(block)
                done += len(block)
                progress("copying", done, size)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StateError(f"{source} cannot be copied: {error.strerror}.") from None
    return path, digest.hexdigest()


def digest_of(path: Path, progress: Progress) -> str:
    """The sha256 of a file, read in blocks."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            progress("checking", done, size)
    return digest.hexdigest()


def check_space(directory: Path, needed: int) -> None:
    """`StateError` where the disk has not so many bytes and some to spare."""
    free = shutil.disk_usage(directory).free
    if needed + SPARE_BYTES > free:
        raise StateError(
            f"the disk of {directory} has {free / 1e9:.2f} GB free, but {(needed + SPARE_BYTES) / 1e9:.2f} GB are"
            " needed; make room, or choose a smaller model."
        )


def _download(offer: Offer, file: FileIO, begun: int, progress: Progress) -> None:
    # A revision is what only a hub tells.
    with explained(offer.url, hub=bool(offer.revision), kept=lambda: os.fstat(file.fileno()).st_size > 0):
        http_get(
            offer.url,
            cast(BinaryIO, _Capped(file, offer.size)),
            resume_size=begun,
            headers=dict(offer.headers),
            expected_size=offer.size,
            tqdm_class=cast(Any, _bar(progress, offer.size)),
        )
        os.fsync(file.fileno())


def _checked(offer: Offer, path: Path, progress: Progress) -> str:
    sha256 = digest_of(path, progress)
    if (offer.sha256 and sha256 != offer.sha256) or (offer.blob and _git_blob(path) != offer.blob):
        path.unlink()
        raise ModelError(
            f"{offer.url} sent another file than it promised (the hash is {sha256}, not"
            f" {offer.sha256 or 'that of ' + offer.blob}); it was deleted. Pull again; if that happens again, do not"
            " trust this server."
        )
    return sha256


def _git_blob(path: Path) -> str:
    """The hash by which git knows a file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _alone(file: FileIO, url: str) -> Iterator[None]:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise Busy(f"another process downloads {url} at the moment; wait for it.") from None
    yield


class _Surplus(Exception):
    """More came than was promised."""


class _Capped:
    """The part of a binary file that the downloader uses; it takes no more bytes than were promised.

    The file has no buffer: what does not fit on the disk must not come up again when the file is closed.
    """

    def __init__(self, file: FileIO, size: int) -> None:
        self._file = file
        self._size = size

    def write(self, data: bytes) -> int:
        if self._file.tell() + len(data) > self._size:
            raise _Surplus
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        return len(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def truncate(self) -> int:
        return self._file.truncate()


def _bar(progress: Progress, size: int) -> type:
    """A class of progress bars as the downloader makes them."""

    class Bar:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self._done = initial
            progress("downloading", initial, size)

        def update(self, count: int) -> None:
            self._done += count
            progress("downloading", self._done, size)

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            return None

    return Bar
