"""Downloads an offered file: it resumes, takes no more bytes than were announced, and checks the hash."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from io import FileIO
from pathlib import Path

from agentd.delivery.backoff import Backoff
from agentd.errors import Busy, ModelError, StateError
from agentd.host.http import Ask, CutOff, Forbidden, Outbound, OutboundError, Reply, TooLarge, Waits
from agentd.models.library.hub import Offer, refuse, unreached, with_outbound

SPARE_BYTES = 128 * 1024 * 1024
"""Must stay free on the disk, so that the daemon can still accept messages."""
BLOCK = 1024 * 1024
TRIES = 5
"""How often in a row a download may break off with less than a block received."""
PAUSES = Backoff(first=1.0, longest=4.0)
"""Between two tries."""
WAITS = Waits(head=30.0, piece=30.0)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes after which the same request may succeed a little later."""

Progress = Callable[[str, int, int], None]
"""Takes what is being done ("downloading", "checking", "copying"), how many bytes are done, and of how many."""


def fetch(offer: Offer, directory: Path, progress: Progress) -> tuple[Path, str]:
    """The complete file, in `directory`, and its sha256. An earlier download of the same file is resumed.

    `ModelError` if the server fails or sends another file than it announced, `StateError` if the disk fails, `Busy` if
    another process downloads the same file. What can be resumed is kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{offer.key[:32]}.part"
    with _opened(path) as file, _alone(file, offer.address):
        if file.seek(0, os.SEEK_END) > offer.size:
            file.truncate(0)
        check_space(directory, offer.size - file.seek(0, os.SEEK_END))
        try:
            with_outbound(lambda outbound: _Download(offer, file, progress).run(outbound))
            os.fsync(file.fileno())
        except TooLarge:
            path.unlink()
            raise ModelError(
                f"{offer.address} sends more than the {offer.size} bytes that it announced; try again later."
            ) from None
        except OSError as error:
            path.unlink()
            raise StateError(
                f"the model cannot be stored: {error.strerror}. The unfinished download was deleted; make room and pull"
                " again."
            ) from None
    return path, _check(offer, path, progress)


def copy(source: Path, directory: Path, progress: Progress) -> tuple[Path, str]:
    """A copy of a file on this machine, in `directory`, and its sha256."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{os.getpid()}.copy"
    digest, done = hashlib.sha256(), 0
    try:
        path.unlink(missing_ok=True)
        with source.open("rb") as original, _opened(path) as file:
            size = os.fstat(original.fileno()).st_size
            check_space(directory, size)
            while block := original.read(BLOCK):
                _write(file, block)
                digest.update(block)
                done += len(block)
                progress("copying", done, size)
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StateError(f"{source} cannot be copied: {error.strerror}.") from None
    return path, digest.hexdigest()


def digest_of(path: Path, progress: Progress) -> str:
    """The sha256 of a file, which is read in blocks."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            progress("checking", done, size)
    return digest.hexdigest()


def check_space(directory: Path, needed: int) -> None:
    """`StateError` unless the disk has so many bytes free, and `SPARE_BYTES` more."""
    free = shutil.disk_usage(directory).free
    if needed + SPARE_BYTES > free:
        raise StateError(
            f"the disk of {directory} has {free / 1e9:.2f} GB free, but {(needed + SPARE_BYTES) / 1e9:.2f} GB are"
            " needed; make room, or choose a smaller model."
        )


class _Download:
    """Fetches the bytes that are not in the file yet; after an interruption it resumes."""

    def __init__(self, offer: Offer, file: FileIO, progress: Progress) -> None:
        self._offer = offer
        self._file = file
        self._progress = progress
        self._reported = 0

    async def run(self, outbound: Outbound) -> None:
        """Returns when the file is complete; `ModelError` after too many tries in a row that brought almost nothing."""
        tries = 0
        while (begun := self._done()) < self._offer.size:
            try:
                await self._try(outbound)
                fault: OutboundError = CutOff("sent less than it announced")
            except TooLarge:
                raise
            except OutboundError as error:
                fault = error
            tries = 1 if self._done() - begun >= BLOCK else tries + 1
            if self._done() < self._offer.size:
                if tries >= TRIES or isinstance(fault, Forbidden):
                    raise self._fault(fault)
                await asyncio.sleep(PAUSES.ceiling(tries - 1))

    async def _try(self, outbound: Outbound) -> None:
        offer, begun = self._offer, self._done()
        part = {"range": f"bytes={begun}-"} if begun else {}
        async with outbound.open(Ask(url=offer.url, headers={**offer.headers, **part}), WAITS) as reply:
            self._begin(reply, begun)
            self._report(at_once=True)
            async with aclosing(reply.pieces(offer.size - self._done())) as pieces:
                async for piece in pieces:
                    _write(self._file, piece)
                    self._report()
        self._report(at_once=True)

    def _begin(self, reply: Reply, begun: int) -> None:
        """Check where the reply begins. A server that does not know ranges sends the file from its beginning."""
        if reply.status in _PASSING:
            raise CutOff(f"refused ({reply.status})")
        if reply.status == 416 or (reply.status == 200 and begun):
            self._file.truncate(0)
        if reply.status == 416:
            raise CutOff("refused to resume the download (416)")
        if reply.status not in (200, 206):
            refuse(reply, self._offer.address, hub=self._offer.of_hub)
        if reply.status == 206 and _first(reply) != begun:
            raise ModelError(
                f"{self._offer.address} sends another part of the file than agentd requested; try again later."
            )

    def _done(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def _report(self, *, at_once: bool = False) -> None:
        if at_once or self._done() - self._reported >= BLOCK:
            self._reported = self._done()
            self._progress("downloading", self._reported, self._offer.size)

    def _fault(self, error: OutboundError) -> ModelError:
        return unreached(error, self._offer.address, hub=self._offer.of_hub, kept=self._done() > 0)


def _first(reply: Reply) -> int:
    """The position in the file at which a part begins; -1 if the server does not say it."""
    found = re.match(r"bytes ([0-9]{1,15})-", reply.headers.get("content-range", ""))
    return int(found[1]) if found else -1


def _opened(path: Path) -> FileIO:
    """Open a file of ours for appending; a link, or a file that has another name too, is refused.

    It is unbuffered, so that bytes that did not fit on the disk are not written again when the file is closed.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = FileIO(os.open(path, flags, 0o666), "r+")
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"cannot be written ({error.strerror})"
        raise StateError(f"{path} {what}; delete it, and pull again.") from None
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        file.close()
        raise StateError(f"{path} is not a separate file; delete it, and pull again.")
    return file


def _write(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _check(offer: Offer, path: Path, progress: Progress) -> str:
    sha256 = digest_of(path, progress)
    if (offer.sha256 and sha256 != offer.sha256) or (offer.blob and _git_blob(path) != offer.blob):
        path.unlink()
        raise ModelError(
            f"{offer.address} sent another file than it announced (the hash is {sha256}, not"
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
def _alone(file: FileIO, address: str) -> Iterator[None]:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise Busy(f"another process is downloading {address}; wait for it.") from None
    yield
