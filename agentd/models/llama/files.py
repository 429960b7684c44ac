"""What is wrong with a model file, in words and before native code sees it.

The format is GGUF, versions 2 and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
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
"""What ggml calls the forms that weights have (ggml.h)."""

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
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    30: (1, 2),
}
"""Of the tensor types that are common: weights in a block, bytes of a block (ggml.h)."""

_NOT_CHAT = ("bert", "clip", "t5encoder", "wavtokenizer", "mmproj", "embedding")

SAMPLING = "general.sampling."
"""What the keys of a file begin with that say how to sample (llama.cpp, src/llama-arch.cpp)."""
CACHE_BYTES = 2
"""Of one number in the key-value cache."""
WORKING_BYTES = 200_000_000
"""What the child needs besides weights and cache, by measurement and rounded up."""

Value = int | float | bool | str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gguf:
    """What the header of a model file says; `cache_bytes` is the key-value cache of one token, 0 where unknown.

    `context` is how many tokens the model was trained for, 0 where unknown; `types` are the forms of its matrices, by
    ggml's names.
    """

    path: Path
    size: int
    architecture: str
    cache_bytes: int
    context: int = 0
    chat_template: bool = False
    name: str = ""
    """`general.name`, "" if the file does not say it."""
    sampling: Mapping[str, Value] = field(default_factory=dict)
    """What the file says of how to sample, by its keys."""
    types: tuple[str, ...] = ()


def inspect(path: Path, *, chat: bool = True) -> Gguf:
    """The facts about a file that is whole and, for `chat`, can chat, as far as its header tells; else `ModelError`."""
    try:
        if not path.exists():
            raise ModelError(f"there is no model file {path}; check its path, or choose another model.")
        if not path.is_file():
            raise ModelError(f"{path} is not a file; give the path of a .gguf file.")
        with path.open("rb") as file:
            _check_magic(path, file.read(1024))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _inspect(path, data, chat=chat)
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}; check its owner and mode.") from None


def used_context(gguf: Gguf, *, context: int) -> int:
    """Tokens of context that the model is given: no more than it was trained for."""
    return min(context, gguf.context or context)


def memory_of(gguf: Gguf, *, context: int) -> int:
    """Bytes that the model takes where a context of so many tokens is set: weights, cache and working memory."""
    return gguf.size + gguf.cache_bytes * used_context(gguf, context=context) + WORKING_BYTES


def check_memory(gguf: Gguf, *, context: int, available: int | None) -> None:
    """`ModelError` where what the model takes with `context` tokens set is more than the `available` bytes."""
    used = used_context(gguf, context=context)
    need = memory_of(gguf, context=context)
    if available is not None and need > available:
        raise ModelError(
            f"{gguf.path.name} needs about {readable(need)} of memory ({readable(gguf.size)} weights,"
            f" {readable(gguf.cache_bytes * used)} for a context of {used} tokens), but {readable(available)} are"
            " available; choose a smaller model, a smaller context, or give agentd more memory."
        )


def readable(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


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


def _inspect(path: Path, data: mmap.mmap, *, chat: bool) -> Gguf:
    reader = _Reader(data)
    try:
        end = _walk(path, reader)
    except (struct.error, _Short):
        end = len(data) + 1
    except (ValueError, KeyError, UnicodeDecodeError):
        raise ModelError(f"the header of {path} is damaged; download the model again.") from None
    if end > len(data):
        raise ModelError(
            f"{path} is cut off: it has {len(data)} bytes, its header promises {end} or more; download the model again."
        )
    facts = reader.facts
    architecture = str(facts.get("general.architecture", ""))
    causal = facts.get(f"{architecture}.attention.causal", True)
    if chat and (not causal or any(mark in architecture for mark in _NOT_CHAT)):
        raise ModelError(f"{path} is a {architecture} model, which cannot chat; choose a chat model.")
    context = facts.get(f"{architecture}.context_length")
    return Gguf(
        path=path,
        size=len(data),
        architecture=architecture,
        cache_bytes=_cache_bytes(facts, architecture),
        context=int(context) if isinstance(context, int) else 0,
        chat_template=bool(facts.get("tokenizer.chat_template")),
        name=str(facts.get("general.name", "")),
        sampling={key: value for key, value in facts.items() if key.startswith(SAMPLING)},
        types=tuple(sorted(reader.types)),
    )


def _cache_bytes(facts: dict[str, Value], architecture: str) -> int:
    def number(key: str, default: int = 0) -> int:
        value = facts.get(f"{architecture}.{key}")
        return int(value) if isinstance(value, int) else default

    heads = number("attention.head_count")
    head = number("embedding_length") // heads if heads else 0
    width = number("attention.key_length", head) + number("attention.value_length", head)
    return number("block_count") * number("attention.head_count_kv", heads) * width * CACHE_BYTES


class _Short(Exception):
    """The file ends before what it promises."""


class _Reader:
    """Steps through a header; every read past the end raises `struct.error` or `_Short`."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0
        self.facts: dict[str, Value] = {}
        self.types: set[str] = set()

    def number(self, form: str) -> int:
        value = struct.unpack_from("<" + form, self._data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return int(value)

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise _Short

    def string(self) -> str:
        length = self.number("Q")
        start = self.at
        self.skip(length)
        return self._data[start : self.at].decode()

    def value(self, kind: int) -> Value:
        """A scalar or a string; None in the place of an array."""
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
        kind, count = self.number("I"), self.number("Q")
        if kind in _SCALARS:
            self.skip(count * struct.calcsize("<" + _SCALARS[kind]))
            return
        for _ in range(count):
            if kind != _STRING:
                raise ValueError("nested array")
            self.skip(self.number("Q"))


def _walk(path: Path, reader: _Reader) -> int:
    """Where the data that the header describes end; the facts stay in the reader."""
    reader.skip(4)
    version = reader.number("I")
    if version not in (2, 3):
        raise ModelError(f"{path} has version {version} of the GGUF format; versions 2 and 3 can be run.")
    tensors, pairs = reader.number("Q"), reader.number("Q")
    for _ in range(pairs):
        key = reader.string()
        reader.facts[key] = reader.value(reader.number("I"))
    if tensors == 0:
        raise ModelError(f"{path} holds a vocabulary and no weights; choose the file of a whole model.")
    end = max(_tensor_end(reader) for _ in range(tensors))
    alignment = reader.facts.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("alignment")
    return -(-reader.at // alignment) * alignment + end


def _tensor_end(reader: _Reader) -> int:
    reader.string()
    dimensions = reader.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError("dimensions")
    weights = 1
    for _ in range(dimensions):
        weights *= reader.number("Q")
    kind, offset = reader.number("I"), reader.number("Q")
    if dimensions > 1:
        reader.types.add(TYPES.get(kind, f"type {kind}"))
    per_block, size = _BLOCKS.get(kind, (1, 0))
    return offset + -(-weights // per_block) * size
