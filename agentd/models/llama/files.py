"""What is wrong with a model, in words and before native code sees it, and what it takes to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentd.errors import ModelError
from agentd.models.llama import header, parts
from agentd.models.llama.header import Facts, Header, Value

_NOT_CHAT = ("bert", "clip", "t5encoder", "wavtokenizer", "mmproj", "embedding")

SAMPLING = "general.sampling."
"""What the keys of a file begin with that say how to sample (llama.cpp, src/llama-arch.cpp)."""
CACHE_BYTES = 2
"""Of one number in the key-value cache."""
WORKING_BYTES = 200_000_000
"""What the child needs besides weights and cache, by measurement and rounded up."""

REPACKED = 2
"""How often the weights may be there at once: as the file has them, and in the order that the processor likes."""
STEP_BYTES = 128 * 1024
"""Of each token of context while a batch is computed: 512 rows of 64 heads in numbers of 4 bytes."""
SPARE_BYTES = 4 << 30
"""What a model's process may take besides; it never needs that much by measurement."""
MOST_CONTEXT = 2**31 - 1
"""Tokens; llama.cpp counts them in 32 bits."""
CONTEXT_STEP = 256
"""Contexts are told in steps of so many tokens."""
MOST_PARTS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Gguf:
    """What the header of a model file says, or those of all its parts.

    `cache_bytes` is the key-value cache of one token, 0 where unknown.

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
    """The facts about a model that is whole and, for `chat`, can chat, as far as its header tells; else `ModelError`.

    Of one in several parts `path` is the first, and all of them count. It may take a second: not for an event loop.
    """
    first = header.read(path)
    count = _number(first.facts, "split.count")
    if count > MOST_PARTS:
        raise ModelError(f"the header of {path} promises {count} parts; no model has that many: choose another file.")
    others = parts.others(path, number=_number(first.facts, "split.no"), count=count) if count > 1 else ()
    whole = [first, *map(header.read, others)]
    if not any(part.tensors for part in whole):
        raise ModelError(f"{path} holds a vocabulary but no weights; choose the file of a whole model.")
    return _model(path, first, whole, chat=chat)


def _model(path: Path, first: Header, whole: Sequence[Header], *, chat: bool) -> Gguf:
    facts = first.facts
    architecture = str(facts.get("general.architecture", ""))
    causal = facts.get(f"{architecture}.attention.causal", True)
    if chat and (not causal or any(mark in architecture for mark in _NOT_CHAT)):
        raise ModelError(f"{path} is a {architecture} model, which cannot chat; choose a chat model.")
    return Gguf(
        path=path,
        size=sum(part.size for part in whole),
        architecture=architecture,
        cache_bytes=_cache_bytes(facts, architecture),
        context=_context(path, facts, architecture),
        chat_template=bool(facts.get("tokenizer.chat_template")),
        name=str(facts.get("general.name", "")),
        sampling={key: value for key, value in facts.items() if key.startswith(SAMPLING)},
        types=tuple(sorted(frozenset[str]().union(*(part.types for part in whole)))),
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
    """A number that is not negative; what is none counts as missing."""
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


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
            f" available; {_way_out(gguf, available)}, or give agentd more memory."
        )


def _way_out(gguf: Gguf, available: int) -> str:
    left = available - memory_of(gguf, context=0)
    fits = left // gguf.cache_bytes // CONTEXT_STEP * CONTEXT_STEP if gguf.cache_bytes else 0
    return f"set model.context to {fits} or less, choose a smaller model" if fits > 0 else "choose a smaller model"


def most_memory(gguf: Gguf, *, context: int) -> int:
    """Bytes that a process which runs this model may have for itself: several times what it needs."""
    used = used_context(gguf, context=context)
    return REPACKED * gguf.size + (2 * gguf.cache_bytes + STEP_BYTES) * used + SPARE_BYTES


def readable(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
