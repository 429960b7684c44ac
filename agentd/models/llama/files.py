"""What is wrong with a model file, before native code reads it, and how much memory the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentd.errors import ModelError
from agentd.models.llama import header, parts
from agentd.models.llama.header import Facts, Header, Value

_NOT_CHAT = ("bert", "clip", "t5encoder", "wavtokenizer", "mmproj", "embedding")

SAMPLING = "general.sampling."
"""The beginning of the keys that say how to sample (llama.cpp, src/llama-arch.cpp)."""
CACHE_BYTES = 2
"""Bytes of one number in the key-value cache."""
WORKING_BYTES = 200_000_000
"""What the child needs besides weights and cache: measured, and rounded up."""

REPACKED = 2
"""Copies of the weights that may exist at once: as in the file, and reordered for the processor."""
STEP_BYTES = 128 * 1024
"""For each token of context while a batch is computed: 512 rows of 64 heads, 4 bytes each."""
SPARE_BYTES = 4 << 30
"""What the process of a model may take besides; by measurement it never needs that much."""
MOST_CONTEXT = 2**31 - 1
"""Tokens; llama.cpp counts them in 32 bits."""
CONTEXT_STEP = 256
"""A context that is suggested is a multiple of so many tokens."""
MOST_PARTS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Gguf:
    """What the header of a model file says, or the headers of all its parts.

    `cache_bytes` is the size of the key-value cache for one token, 0 if unknown. `context` is the number of tokens that
    the model was trained for, 0 if unknown. `types` are the forms of its matrices, by ggml's names.
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
    """What the file says about sampling, by its keys."""
    types: tuple[str, ...] = ()


def inspect(path: Path, *, chat: bool = True) -> Gguf:
    """The facts about a model. `ModelError` unless the header says that it is complete and, for `chat`, can chat.

    If the model is in several parts, `path` is the first. This may take a second, so it must not run on an event loop.
    """
    first = header.read(path)
    count = _number(first.facts, "split.count")
    if count > MOST_PARTS:
        raise ModelError(f"the header of {path} promises {count} parts; no model has that many: choose another file.")
    others = parts.others(path, number=_number(first.facts, "split.no"), count=count) if count > 1 else ()
    headers = [first, *map(header.read, others)]
    if not any(part.tensors for part in headers):
        raise ModelError(f"{path} holds a vocabulary but no weights; choose the file of a complete model.")
    return _model(path, first, headers, chat=chat)


def _model(path: Path, first: Header, headers: Sequence[Header], *, chat: bool) -> Gguf:
    facts = first.facts
    architecture = str(facts.get("general.architecture", ""))
    causal = facts.get(f"{architecture}.attention.causal", True)
    if chat and (not causal or any(mark in architecture for mark in _NOT_CHAT)):
        raise ModelError(f"{path} is a {architecture} model, which cannot chat; choose a chat model.")
    return Gguf(
        path=path,
        size=sum(part.size for part in headers),
        architecture=architecture,
        cache_bytes=_cache_bytes(facts, architecture),
        context=_context(path, facts, architecture),
        chat_template=bool(facts.get("tokenizer.chat_template")),
        name=str(facts.get("general.name", "")),
        sampling={key: value for key, value in facts.items() if key.startswith(SAMPLING)},
        types=tuple(sorted(frozenset[str]().union(*(part.types for part in headers)))),
    )


def _context(path: Path, facts: Facts, architecture: str) -> int:
    key = f"{architecture}.context_length"
    if key not in facts:
        return 0
    context = _number(facts, key)
    if not 0 < context <= MOST_CONTEXT:
        raise ModelError(f"{path} claims a context of {context} tokens; choose another file of this model.")
    return context


def _cache_bytes(facts: Facts, architecture: str) -> int:
    def number(key: str, default: int = 0) -> int:
        return _number(facts, f"{architecture}.{key}", default)

    heads = number("attention.head_count")
    head = number("embedding_length") // heads if heads else 0
    width = number("attention.key_length", head) + number("attention.value_length", head)
    return number("block_count") * number("attention.head_count_kv", heads) * width * CACHE_BYTES


def _number(facts: Facts, key: str, default: int = 0) -> int:
    """A number that is not negative; anything else counts as missing."""
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def used_context(gguf: Gguf, *, context: int) -> int:
    """Tokens of context that the model gets: no more than it was trained for."""
    return min(context, gguf.context or context)


def memory_of(gguf: Gguf, *, context: int) -> int:
    """Bytes that the model takes with a context of so many tokens: weights, cache and working memory."""
    return gguf.size + gguf.cache_bytes * used_context(gguf, context=context) + WORKING_BYTES


def check_memory(gguf: Gguf, *, context: int, available: int | None) -> None:
    """`ModelError` if the model, with a context of so many tokens, takes more than the `available` bytes."""
    used = used_context(gguf, context=context)
    need = memory_of(gguf, context=context)
    if available is not None and need > available:
        raise ModelError(
            f"{gguf.path.name} needs about {readable(need)} of memory ({readable(gguf.size)} weights,"
            f" {readable(gguf.cache_bytes * used)} for a context of {used} tokens), but {readable(available)} are"
            f" available; {_way_out(gguf, available)}, or give agentd more memory."
        )


def _way_out(gguf: Gguf, available: int) -> str:
    left = available - memory_of(gguf, context=0)
    fits = left // gguf.cache_bytes // CONTEXT_STEP * CONTEXT_STEP if gguf.cache_bytes else 0
    return f"set model.context to {fits} or less, choose a smaller model" if fits > 0 else "choose a smaller model"


def most_memory(gguf: Gguf, *, context: int) -> int:
    """Bytes of private memory that a process with this model may have: several times what it needs."""
    used = used_context(gguf, context=context)
    return REPACKED * gguf.size + (2 * gguf.cache_bytes + STEP_BYTES) * used + SPARE_BYTES


def readable(size: int) -> str:
    """A number of bytes for a message."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
