"""Turns files into text, or a reason why not, and file names of any bytes into sources that can be shown and stored."""

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
"""Files without a suffix that are usually text."""


_IMAGE = re.compile(
    r"(data:[\w.+-]{1,64}/[\w.+-]{1,64}(?:;[\w=.-]{1,64}){0,8},)"
    r"[\w+/=%.~!*':;@&?#$,<>-]{64,}+(?:\s{1,8}[\w+/=]{60,}+)*+(?:\s{1,8}[\w+/]{1,60}={0,2}(?=[)\"'>]))?"
)
"""The data of an image, or of anything else, inside a text (RFC 2397)."""


class Unreadable(Exception):
    """Why a file was skipped. `gone` says that the earlier text is certainly not in it any more."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The text of a file, and the SHA-256 of its bytes in hex.

    The text has no byte order mark, and instead of the data of images only a note that there are some.
    """

    source: str
    name: str
    text: str
    content_hash: str
    bytes: int
    modified: datetime
    markdown: bool


def is_readable_name(name: str) -> bool:
    """Whether a file in a folder is read; a file that is named explicitly is tried, whatever its name."""
    stem, suffix = os.path.splitext(name.lower())
    return suffix in MARKDOWN or suffix in TEXT or (not suffix and stem in NAMES)


def read(path: str, limit: int = MAX_BYTES, *, root: str = "") -> Source:
    """The text of a file of at most `limit` bytes; raises `Unreadable`.

    If `root` is not empty, the target of a link must be below it.
    """
    data, status = _bytes(path, limit, root)
    return _source(source_of(path), path, data, _time(status.st_mtime))


def read_bytes(name: str, data: bytes, limit: int = MAX_BYTES) -> Source:
    """The same for bytes that were uploaded under a name."""
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
    """The target of a path if links take it out of the folder `root`, else ""; OSError if we may not see that."""
    real = os.path.realpath(path)
    return "" if real == root or real.startswith(root.rstrip("/") + "/") else real


def _bytes(path: str, limit: int, root: str) -> tuple[bytes, os.stat_result]:
    try:
        # Check it before opening it: opening a device can already have an effect.
        _check_kind(os.stat(path))
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status)
            # Check what was opened: a link may have changed since the folder was read.
            if root and (out := leaves(f"/proc/self/fd/{file.fileno()}" if _PROC else path, root)):
                raise Unreadable(f"a link that leads out of the folder, to {shown(out)}", gone=True)
            # Read what it has now: a file may grow faster than it is read.
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
    """Whether a path is in /proc or /sys."""
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
    """The absolute path; a file: URI (RFC 8089) if it has bytes that cannot be shown."""
    return path if path.isprintable() else f"file://{quote_from_bytes(os.fsencode(path))}"


def uploaded(name: str) -> str:
    """The source of an upload of this name, which differs from every path."""
    return f"upload:{name}"


def named(source: str) -> str:
    """The path or the name of an upload from which this source was made."""
    return source.removeprefix(uploaded("")) if source.startswith(uploaded("")) else path_of(source)


def path_of(source: str) -> str:
    """The path that `source_of` was given."""
    return os.fsdecode(unquote_to_bytes(source.removeprefix("file://"))) if source.startswith("file://") else source


def below(path: str) -> tuple[tuple[str, str], ...]:
    """The ranges low <= source < high that contain everything below a folder."""
    folder = path.rstrip("/") + "/"
    uri = f"file://{quote_from_bytes(os.fsencode(folder))}"
    plain = ((folder, _after(folder)),) if folder.isprintable() else ()
    return (*plain, (uri, _after(uri)))


def _after(folder: str) -> str:
    return folder[:-1] + chr(ord("/") + 1)


def shown(name: str) -> str:
    """A path or name for people, with everything that cannot be shown escaped as in Python."""
    return name if name.isprintable() else "".join(map(_escaped, name))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    byte = ord(character) - 0xDC00  # Python's character for a byte that is not UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(character)[1:-1]
