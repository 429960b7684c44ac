"""Reads the header of one GGUF file in such a way that a false header costs neither time nor memory.

The format is GGUF, versions 2 and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every number in the
header is compared with the rest of the file before it is used. Everything in a header has a limit too, because a sparse
file can be of any size.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentd.errors import ModelError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4

TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    39: "MXFP4",
}
"""ggml's names of the forms of weights (ggml.h)."""

_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    39: (32, 17),
}
"""Tensor type -> weights in a block, bytes of a block (ggml-common.h)."""

MOST_PAIRS, MOST_TENSORS, MOST_STRINGS = 10_000, 100_000, 2_000_000
"""Pairs, tensors, and strings in all arrays of a header; the largest models have a fraction of that."""
LONGEST_KEY, LONGEST_TEXT = 65_535, 16_000_000
"""Bytes; the first limit is that of the format."""
LONGEST_ARRAY = 256_000_000
"""Bytes; the largest vocabularies have some ten million."""
KEPT_TEXT, KEPT_BYTES = 4096, 16_000_000
"""Bytes that are kept of one text, and of all keys and texts together."""
_LEAST_PAIR, _LEAST_TENSOR, _LEAST_STRING = 8 + 4 + 1, 8 + 4 + 4 + 8, 8
"""Minimum size of each in bytes."""

Value = int | float | bool | str | None
Facts = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The pairs of one file: an array is None, a long text is cut. `size` is the size of the file in bytes.

    `types` are the forms of its matrices, by ggml's names.
    """

    size: int
    facts: Facts
    tensors: int
    types: frozenset[str]


def read(path: Path) -> Header:
    """The header; if the file is not a complete GGUF file with sane numbers, `ModelError` says what it is."""
    try:
        if not path.exists():
            raise ModelError(f"there is no model file {path}; check its path, or choose another model.")
        if not path.is_file():
            raise ModelError(f"{path} is not a file; give the path of a .gguf file.")
        with path.open("rb") as file:
            _check_magic(path, file.read(1024))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(path, data)
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}; check its owner and mode.") from None


def _check_magic(path: Path, head: bytes) -> None:
    if not head:
        raise ModelError(f"{path} is empty; download the model again.")
    if head.startswith(b"GGUF"):
        return
    what = "not a GGUF file"
    if head.startswith(b"version https://git-lfs"):
        what = "a Git LFS pointer, not the model itself"
    elif head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        what = "a web page, not the model itself"
    elif head.startswith(b"PK\x03\x04") or head[8:9] == b"{":
        what = "PyTorch or safetensors weights, not GGUF"
    raise ModelError(f"{path} is {what}; agentd runs models in the GGUF format (files that end in .gguf).")


def _read(path: Path, data: mmap.mmap) -> Header:
    reader = _Reader(data)
    try:
        end = _walk(path, reader)
    except (struct.error, _Short):
        end = len(data) + 1
    except _TooMuch as error:
        raise ModelError(f"the header of {path} {error}; no model needs that: choose another file.") from None
    except (ValueError, KeyError):
        raise ModelError(f"the header of {path} is damaged; download the model again.") from None
    if end > len(data):
        raise ModelError(
            f"{path} is cut off: it has {len(data)} bytes, its header promises {end} or more; download the model again."
        )
    return Header(size=len(data), facts=reader.facts, tensors=reader.tensors, types=frozenset(reader.types))


class _Short(Exception):
    """The file ends too early."""


class _TooMuch(Exception):
    """The header exceeds a limit; the message says which."""


class _Reader:
    """Reads a header step by step; a read past the end raises `struct.error` or `_Short`."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0
        self.facts: dict[str, Value] = {}
        self.types: set[str] = set()
        self.tensors = self._kept = self._strings = 0

    def number(self, form: str) -> int:
        value = struct.unpack_from("<" + form, self._data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return int(value)

    def count(self, name: str, *, least: int, most: int) -> int:
        """The number of items that follow, each of at least so many bytes; never more than the file has room for."""
        found = self.number("Q")
        if found * least > len(self._data) - self.at:
            raise _Short
        if found > most:
            raise _TooMuch(f"promises {found} {name}, more than {most}")
        return found

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise _Short

    def string(self, *, longest: int = LONGEST_TEXT) -> str:
        """The string, or its first `KEPT_TEXT` bytes."""
        length = self.count("bytes of one text", least=1, most=longest)
        start = self.at
        self.skip(length)
        text = self._data[start : min(self.at, start + KEPT_TEXT)].decode(
            errors="strict" if length <= KEPT_TEXT else "ignore"
        )
        self._kept += len(text)
        if self._kept > KEPT_BYTES:
            raise _TooMuch(f"has more than {KEPT_BYTES} bytes of names")
        return text

    def pair(self) -> None:
        key = self.string(longest=LONGEST_KEY)
        self.facts[key] = self._value(self.number("I"))

    def _value(self, kind: int) -> Value:
        """A scalar or a string; None for an array."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        form = "<" + _SCALARS[kind]
        value: Value = struct.unpack_from(form, self._data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def _skip_array(self) -> None:
        kind = self.number("I")
        if kind in _SCALARS:
            size = self.number("Q") * struct.calcsize("<" + _SCALARS[kind])
            self._skip_within(self.at + size)
            return
        if kind != _STRING:
            raise ValueError("nested array")
        most = MOST_STRINGS - self._strings
        found = self.count("further texts in arrays", least=_LEAST_STRING, most=most)
        self._strings += found
        self._skip_strings(found)

    def _skip_strings(self, count: int) -> None:
        """Vocabularies have up to a million strings, so this loop is short."""
        at, data, length = self.at, self._data, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(data, at)[0]
        self._skip_within(at)

    def _skip_within(self, end: int) -> None:
        """Skip to the end of an array. A long one is refused, because llama.cpp would hold all of it."""
        if LONGEST_ARRAY < end - self.at <= len(self._data):
            raise _TooMuch(f"has an array of more than {LONGEST_ARRAY} bytes")
        self.skip(end - self.at)

    def tensor_end(self) -> int:
        """The end of the next tensor, counted from the beginning of the data."""
        self.string(longest=LONGEST_KEY)
        dimensions = self.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError("dimensions")
        weights = 1
        for _ in range(dimensions):
            weights *= self.number("Q")
        kind, offset = self.number("I"), self.number("Q")
        if dimensions > 1:
            self.types.add(TYPES.get(kind, f"type {kind}"))
        per_block, size = _BLOCKS.get(kind, (1, 0))
        return offset + -(-weights // per_block) * size


def _walk(path: Path, reader: _Reader) -> int:
    """The end of the data that the header describes; the reader keeps the facts."""
    reader.skip(4)
    version = reader.number("I")
    if version not in (2, 3):
        raise ModelError(f"{path} has version {version} of the GGUF format; agentd can run versions 2 and 3.")
    reader.tensors = reader.count("tensors", least=_LEAST_TENSOR, most=MOST_TENSORS)
    for _ in range(reader.count("pairs", least=_LEAST_PAIR, most=MOST_PAIRS)):
        reader.pair()
    end = max((reader.tensor_end() for _ in range(reader.tensors)), default=0)
    if end == 0:
        return reader.at
    alignment = reader.facts.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("alignment")
    return -(-reader.at // alignment) * alignment + end
