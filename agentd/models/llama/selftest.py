"""Whether llama.cpp does what this package takes for granted, tried on a tiny model that is written for it.

llama.cpp's structures and calls change between versions without a warning that Python could see. The trial runs in a
copy of the process, because such a change may crash it.
"""

from __future__ import annotations

import functools
import logging
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama.driver import Driver
from agentd.models.llama.isolate import Crashed, isolated
from agentd.models.llama.job import Span
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.wire import Choice

EXPECTED = "0.3.36"
"""The version of llama-cpp-python that this package was written for."""
SECONDS = 20.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NAMES = ("<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *_LETTERS, "\u2581")
_WIDTH, _FEED_FORWARD = 32, 32
_CONTEXT = 256
_GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)

Floats = NDArray[np.float32]


@functools.cache
def check() -> None:
    """`ModelError` where llama.cpp answers otherwise than it must; asked once in a process."""
    version = llama_cpp.__version__
    try:
        found = isolated(_trial, seconds=SECONDS).decode()
    except Crashed as crash:
        found = str(crash)
    if found:
        raise ModelError(
            f"llama-cpp-python {version} does not do what agentd expects of it ({found}); install the version that it"
            f' was made for: pip install "llama-cpp-python=={EXPECTED}".'
        )


def _trial() -> bytes:
    """The first thing that is not as it must be; empty where all is well."""
    weights = _Weights()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trial.gguf"
        path.write_bytes(weights.file())
        return next(_problems(path, weights), "").encode()


def _problems(path: Path, weights: _Weights) -> Iterator[str]:
    driver = Driver(path, context=_CONTEXT, threads=1, gpu_layers=0, sequences=3)
    words = driver.vocabulary
    text = words.tokenize("abcab", special=False, after=1)
    if text != [_NAMES.index(letter) for letter in "abcab"] or words.piece(text[1]) != b"b":
        yield "text becomes other tokens"
    if driver.facts() != (_CONTEXT, 3, 1):
        yield f"a context has other properties than were asked for: {driver.facts()}"
    trial = _Trial(driver, weights)
    other = [_NAMES.index(letter) for letter in "zyxwvutsr"]
    yield from trial.differences("a batch of two sequences", (0, text, 0), (1, other, 0))
    yield from trial.differences("going on with one of them", (0, [text[0]], len(text)))
    driver.copy(1, 2, 6)
    yield from trial.differences("a copied beginning", (2, text, 6), before=other[:6])
    if not driver.keep(1, 4):
        yield "a sequence cannot be cut"
    yield from trial.differences("a sequence that was cut", (1, text[:2], 4), before=other[:4])
    state = driver.state(1)
    driver.clear(1)
    if not driver.restore(1, state):
        yield "a sequence that was stored is not taken back"
    yield from trial.differences("a sequence that was restored", (1, text, 6), before=[*other[:4], *text[:2]])
    yield from trial.choices()
    logging.disable()  # llama.cpp warns of what is meant to happen now
    if driver.decode([Span(slot=2, start=11, tokens=text * 50, last=True)]) != "full":
        yield "a cache that is too small does not say so"


class _Trial:
    """Compares what llama.cpp makes of sequences with what the weights make of them."""

    def __init__(self, driver: Driver, weights: _Weights) -> None:
        self._driver = driver
        self._weights = weights
        self._known: dict[int, list[int]] = {}

    def differences(
        self, name: str, *parts: tuple[int, Sequence[int], int], before: Sequence[int] | None = None
    ) -> Iterator[str]:
        """Each part: sequence, tokens, and where they begin; all are asked for what follows each of their tokens."""
        spans = [
            Span(slot=slot, start=start, tokens=tokens, last=True, guessed=len(tokens) - 1)
            for slot, tokens, start in parts
        ]
        if self._driver.decode(spans) != "done":
            yield f"{name} cannot be decoded"
            return
        for number, (slot, tokens, start) in enumerate(parts):
            earlier = self._known.get(slot, [])[:start] if before is None else list(before)
            whole = self._known[slot] = [*earlier, *tokens]
            expected = self._weights.logits(whole)[start:]
            found = np.array([self._driver.logits(number, ahead) for ahead in range(len(tokens))])
            if not np.allclose(found, expected, atol=0.05):
                yield f"{name} gives wrong numbers"

    def choices(self) -> Iterator[str]:
        """What samplers and grammars make of the last batch."""
        driver, words = self._driver, self._driver.vocabulary
        expected = int(np.argmax(driver.logits(0, 0)))
        free = Sampler(_GREEDY, vocabulary=words, before=[])
        if driver.sample(free, 0) != expected:
            yield "the likeliest token is not the one that is chosen"
        penalty = Sampler(_GREEDY.model_copy(update={"repeat_penalty": 1e6}), vocabulary=words, before=[expected])
        if driver.sample(penalty, 0) == expected:
            yield "a penalty for repeating has no effect"
        bound = Sampler(_GREEDY, vocabulary=words, before=[], grammar=b'root ::= "q"')
        bound.constrain()
        first, second = (driver.sample(bound, 0) for _ in range(2))
        if first is None or words.piece(first) != b"q" or second != _NAMES.index("</s>"):
            yield "a grammar does not bind"


class _Weights:
    """One block that looks at all tokens alike, so that a few lines of numpy can say what must come out."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        size, width = len(_NAMES), _WIDTH
        self.embedding: Floats = rng.choice(np.array([-1, 1], np.float32), (size, width))
        self.value: Floats = (rng.standard_normal((width, width)) / width**0.5).astype(np.float32)
        self.back: Floats = (rng.standard_normal((width, width)) / width**0.5).astype(np.float32)
        self.output: Floats = rng.standard_normal((size, width)).astype(np.float32)

    def logits(self, tokens: Sequence[int]) -> Floats:
        """For each token what follows it: (tokens, vocabulary)."""
        entering = self.embedding[list(tokens)]
        values = _normal(entering) @ self.value.T
        means = np.cumsum(values, axis=0) / np.arange(1, len(tokens) + 1, dtype=np.float32)[:, None]
        found: Floats = _normal(entering + (means @ self.back.T).astype(np.float32)) @ self.output.T
        return found

    def file(self) -> bytes:
        """As GGUF, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""
        ones, zeros = np.ones(_WIDTH, np.float32), np.zeros((_WIDTH, _WIDTH), np.float32)
        empty = np.zeros((_FEED_FORWARD, _WIDTH), np.float32)
        tensors = {
            "token_embd": self.embedding,
            "output_norm": ones,
            "output": self.output,
            "blk.0.attn_norm": ones,
            "blk.0.attn_q": zeros,
            "blk.0.attn_k": zeros,
            "blk.0.attn_v": self.value,
            "blk.0.attn_output": self.back,
            "blk.0.ffn_norm": ones,
            "blk.0.ffn_gate": empty,
            "blk.0.ffn_up": empty,
            "blk.0.ffn_down": empty.T,
        }
        facts = b"".join(_facts())
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(list(_facts()))) + facts
        listing, data = b"", b""
        for name, value in tensors.items():
            shape = value.shape[::-1]
            listing += _string(f"{name}.weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
            data += np.ascontiguousarray(value, np.float32).tobytes()
        head += listing
        return head + bytes(-len(head) % 32) + data


def _normal(values: Floats) -> Floats:
    found: Floats = values / np.sqrt(np.mean(values**2, axis=-1, keepdims=True) + 1e-6)
    return found


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _facts() -> Iterator[bytes]:
    """Key and value each; 4 is an unsigned and 5 a signed number, 6 a float, 7 a truth, 8 a string, 9 an array."""

    def number(key: str, value: int) -> bytes:
        return _string(key) + struct.pack("<II", 4, value)

    yield _string("general.architecture") + struct.pack("<I", 8) + _string("llama")
    yield number("llama.context_length", _CONTEXT)
    yield number("llama.embedding_length", _WIDTH)
    yield number("llama.block_count", 1)
    yield number("llama.feed_forward_length", _FEED_FORWARD)
    yield number("llama.attention.head_count", 1)
    yield number("llama.rope.dimension_count", _WIDTH)
    yield _string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-6)
    yield _string("tokenizer.ggml.model") + struct.pack("<I", 8) + _string("llama")
    yield _string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(_NAMES)) + b"".join(map(_string, _NAMES))
    yield _string("tokenizer.ggml.scores") + struct.pack(f"<IIQ{len(_NAMES)}f", 9, 6, len(_NAMES), *[0.0] * len(_NAMES))
    kinds = [2, 3, 3, *[6] * 256, *[1] * (len(_NAMES) - 259)]  # unknown, control, a byte, normal
    yield _string("tokenizer.ggml.token_type") + struct.pack(f"<IIQ{len(kinds)}i", 9, 5, len(kinds), *kinds)
    yield number("tokenizer.ggml.bos_token_id", 1)
    yield number("tokenizer.ggml.eos_token_id", 2)
    for key in ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"):
        yield _string(key) + struct.pack("<I?", 7, False)
