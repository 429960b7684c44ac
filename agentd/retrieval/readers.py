"""Files become text, or a reason why not; names of any bytes become sources that can be shown and stored."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from agentd.text.markup import MARKDOWN, is_markdown

MAX_BYTES = 32 * 1024 * 1024
TEXT = frozenset({".txt", ".text", ".rst", ".log", ".org", ".adoc", ".asciidoc", ".textile", ".tex", ".me", ".1st"})
NAMES = frozenset({"readme", "changelog", "changes", "news", "todo", "faq", "install", "notes", "history"})
"""Files without a suffix that are text by custom."""


_IMAGE = re.compile(
    r"(data:[\w.+-]{1,64}/[\w.+-]{1,64}(?:;[\w=.-]{1,64}){0,8},)"
    r"[\w+/=%.~!*':;@&?#$,<>-]{64,}+(?:\s{1,8}[\w+/=]{60,}+)*+(?:\s{1,8}[\w+/]{1,60}={0,2}(?=[)\"'>]))?"
)
"""The data of an image, or of anything else, that a text carries within itself (RFC 2397)."""


class Unreadable(Exception):
    """Why a file was left out. `gone` says that a document's earlier text is certainly no longer in it."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What was read from a file, and the SHA-256 in hex of its bytes.

    The text has no byte order mark, and of the data of images that stand in it only that there are some.
    """

    source: str
    name: str
    text: str
    content_hash: str
    bytes: int
    modified: datetime
    markdown: bool


def is_readable_name(name: str) -> bool:
    """Whether a file inside a folder is read; one that is named explicitly is tried whatever its name."""
    stem, suffix = os.path.splitext(name.lower())
    return suffix in MARKDOWN or suffix in TEXT or (not suffix and stem in NAMES)


def read(path: str, limit: int = MAX_BYTES, *, root: str = "") -> Source:
    """The text of a file of at most `limit` bytes; raises `Unreadable`.

    A file that a link leads to must lie below `root`, unless that is empty.
    """
    data, status = _bytes(path, limit, root)
    return _source(source_of(path), path, data, _time(status.st_mtime))


def read_bytes(name: str, data: bytes, limit: int = MAX_BYTES) -> Source:
    """The same of what was uploaded under a name."""
    if len(data) > limit:
        raise _too_large(len(data), limit)
    return _source(uploaded(name), name, data, datetime.now(UTC))


def _source(source: str, path: str, data: bytes, modified: datetime) -> Source:
    return Source(
        source=source,
        name=shown(os.path.splitext(os.path.basename(path))[0]),
        text=_IMAGE.sub(r"\1…", _text(data)),
        content_hash=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        modified=modified,
        markdown=is_markdown(path),
    )


def leaves(path: str, root: str) -> str:
    """Where a path leads to if links take it out of the folder `root`, else ""; OSError if that may not be seen."""
    real = os.path.realpath(path)
    return "" if real == root or real.startswith(root.rstrip("/") + "/") else real


def _bytes(path: str, limit: int, root: str) -> tuple[bytes, os.stat_result]:
    try:
        # Looked at before it is opened: opening a device can already do something.
        _check_kind(os.stat(path))
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status)
            # Asked of what was opened: a link may have been changed since the folder was looked at.
            if root and (out := leaves(f"/proc/self/fd/{file.fileno()}" if _PROC else path, root)):
                raise Unreadable(f"a link that leads out of the folder, to {shown(out)}", gone=True)
            # What it has now: a file may grow faster than it is read.
            data = b"" if status.st_size > limit else file.read(status.st_size) or b""
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if status.st_size > limit:
        raise _too_large(status.st_size, limit)
    return data, status


def _too_large(size: int, limit: int) -> Unreadable:
    return Unreadable(f"too large: {size / 2**20:.1f} MiB, the limit is {limit / 2**20:g} MiB; split it", gone=True)


MADE_BY_KERNEL = "not a document: the kernel makes it while it is read"
_PROC = os.path.isdir("/proc/self/fd")
_KERNEL = frozenset(os.stat(path).st_dev for path in ("/proc/self", "/sys/kernel") if os.path.isdir(path))


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file", gone=True)
    if made_by_kernel(status):
        raise Unreadable(MADE_BY_KERNEL, gone=True)


def made_by_kernel(status: os.stat_result) -> bool:
    """Whether it lies in /proc or /sys."""
    return status.st_dev in _KERNEL


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("UTF-16 text; convert it with: iconv -f UTF-16 -t UTF-8", gone=True)
    if b"\0" in data:
        raise Unreadable("binary, not text", gone=True)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start}); "
            "convert it, for example with: iconv -f ISO-8859-1 -t UTF-8",
            gone=True,
        ) from error


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


# --- Names -----------------------------------------------------------------------------------------------------------


def source_of(path: str) -> str:
    """The absolute path itself, or as a file: URI (RFC 8089) where it has bytes that cannot be shown."""
    return path if path.isprintable() else f"file://{quote_from_bytes(os.fsencode(path))}"


def uploaded(name: str) -> str:
    """The source of what was uploaded under this name: no path is the same."""
    return f"upload:{name}"


def path_of(source: str) -> str:
    """The path that `source_of` was given."""
    return os.fsdecode(unquote_to_bytes(source.removeprefix("file://"))) if source.startswith("file://") else source


def below(path: str) -> tuple[tuple[str, str], ...]:
    """The ranges low <= source < high that hold all that lies below a folder."""
    folder = path.rstrip("/") + "/"
    uri = f"file://{quote_from_bytes(os.fsencode(folder))}"
    plain = ((folder, _after(folder)),) if folder.isprintable() else ()
    return (*plain, (uri, _after(uri)))


def _after(folder: str) -> str:
    return folder[:-1] + chr(ord("/") + 1)


def shown(name: str) -> str:
    """A path or name as a person can read it, what cannot be shown escaped as in Python."""
    return name if name.isprintable() else "".join(map(_escaped, name))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    byte = ord(character) - 0xDC00  # what Python reads a byte as that is not UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(character)[1:-1]
