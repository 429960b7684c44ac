"""A small language model of our own: a file for llama.cpp, and a few lines of numpy that compute the right result.

It has one block like Llama's (https://arxiv.org/abs/2302.13971): attention with several heads that share keys and with
rotary positions, then a gated feed-forward. Rows are wide enough for the blocks and tiles of every kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentd.models.llama.blocks import FORMS, Form, random_weights

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONTEXT = 256
_VOCABULARY, _WIDTH, _HEADS, _SHARED, _HEAD, _FEED_FORWARD = 320, 512, 8, 2, 64, 512
"""All are multiples of 32, which AMX needs for rows and columns; what is read in blocks is a multiple of 256."""
_KNOWN = ("<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *LETTERS, "\u2581")
NAMES = (*_KNOWN, *(f"[{i}]" for i in range(_VOCABULARY - len(_KNOWN))))
_UNKNOWN, _NORMAL, _CONTROL, _UNUSED, _BYTE = 2, 1, 3, 5, 6
_KINDS = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * 27, *[_UNUSED] * (_VOCABULARY - len(_KNOWN))]
_BASE, _EPSILON = 10000.0, 1e-6

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Matrix:
    data: bytes
    numbers: Floats


class Specimen:
    """The model with all its matrices in one form of `blocks.FORMS`; it is always the same."""

    def __init__(self, form: str) -> None:
        rng, inner = np.random.default_rng(0), _HEADS * _HEAD
        self._form = FORMS[form]

        def matrix(rows: int, width: int, spread: float = 1.0) -> _Matrix:
            data, numbers = random_weights(self._form, rows, width, spread / width**0.5, rng)
            return _Matrix(data=data, numbers=numbers)

        self._matrices = {
            "token_embd": matrix(_VOCABULARY, _WIDTH, _WIDTH**0.5),
            "output": matrix(_VOCABULARY, _WIDTH),
            "blk.0.attn_q": matrix(inner, _WIDTH),
            "blk.0.attn_k": matrix(_SHARED * _HEAD, _WIDTH),
            "blk.0.attn_v": matrix(_SHARED * _HEAD, _WIDTH),
            "blk.0.attn_output": matrix(_WIDTH, inner, 2.0),
            "blk.0.ffn_gate": matrix(_FEED_FORWARD, _WIDTH),
            "blk.0.ffn_up": matrix(_FEED_FORWARD, _WIDTH),
            "blk.0.ffn_down": matrix(_WIDTH, _FEED_FORWARD),
        }

    def logits(self, tokens: Sequence[int]) -> Floats:
        """The logits of what follows each token: (tokens, vocabulary)."""
        flow = self._matrices["token_embd"].numbers[list(tokens)]
        flow = flow + self._times(self._attended(_normal(flow)), "blk.0.attn_output")
        entering = _normal(flow)
        gate = self._times(entering, "blk.0.ffn_gate")
        opened = gate / (1 + np.exp(-gate)) * self._times(entering, "blk.0.ffn_up")
        return self._times(_normal(flow + self._times(opened, "blk.0.ffn_down")), "output")

    def _attended(self, entering: Floats) -> Floats:
        size = len(entering)
        queries = _turned(self._times(entering, "blk.0.attn_q").reshape(size, _HEADS, _HEAD))
        keys = _turned(self._times(entering, "blk.0.attn_k").reshape(size, _SHARED, _HEAD))
        values = self._times(entering, "blk.0.attn_v").reshape(size, _SHARED, _HEAD)
        keys, values = (np.repeat(part, _HEADS // _SHARED, axis=1) for part in (keys, values))
        scores = np.einsum("ihd,jhd->hij", queries, keys) / _HEAD**0.5
        scores = np.where(np.tri(size, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        found: Floats = np.einsum("hij,jhd->ihd", shares, values).reshape(size, -1).astype(np.float32)
        return found

    def _times(self, entering: Floats, name: str) -> Floats:
        found: Floats = entering @ self._matrices[name].numbers.T
        return found

    def file(self) -> bytes:
        """The model as GGUF, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""
        plain, ones = FORMS["F32"], np.ones(_WIDTH, "<f4").tobytes()
        norms = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
        tensors: dict[str, tuple[Form, tuple[int, ...], bytes]] = {
            name: (self._form, matrix.numbers.shape[::-1], matrix.data) for name, matrix in self._matrices.items()
        } | {name: (plain, (_WIDTH,), ones) for name in norms}
        facts = list(_facts())
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(facts)) + b"".join(facts)
        data = b""
        for name, (form, shape, stored) in tensors.items():
            dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            head += _string(f"{name}.weight") + dimensions + struct.pack("<IQ", form.number, len(data))
            data += stored + bytes(-len(stored) % 32)
        return head + bytes(-len(head) % 32) + data


def _normal(values: Floats) -> Floats:
    found: Floats = values / np.sqrt(np.mean(values**2, axis=-1, keepdims=True) + _EPSILON)
    return found


def _turned(values: Floats) -> Floats:
    """Pairs of numbers, rotated by an angle that grows with the position (https://arxiv.org/abs/2104.09864)."""
    size, _, width = values.shape
    angles = np.arange(size)[:, None] * _BASE ** (-np.arange(0, width, 2) / width)
    cosines, sines = (turn(angles)[:, None, :].astype(np.float32) for turn in (np.cos, np.sin))
    first, second = values[..., 0::2], values[..., 1::2]
    pairs = np.stack([first * cosines - second * sines, first * sines + second * cosines], axis=-1)
    return pairs.reshape(values.shape)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _facts() -> Iterator[bytes]:
    """Keys and values; type 4 is an unsigned and 5 a signed integer, 6 a float, 7 a bool, 8 a string, 9 an array."""

    def number(key: str, value: int) -> bytes:
        return _string(key) + struct.pack("<II", 4, value)

    yield _string("general.architecture") + struct.pack("<I", 8) + _string("llama")
    yield number("llama.context_length", CONTEXT)
    yield number("llama.embedding_length", _WIDTH)
    yield number("llama.block_count", 1)
    yield number("llama.feed_forward_length", _FEED_FORWARD)
    yield number("llama.attention.head_count", _HEADS)
    yield number("llama.attention.head_count_kv", _SHARED)
    yield number("llama.rope.dimension_count", _HEAD)
    yield _string("llama.rope.freq_base") + struct.pack("<If", 6, _BASE)
    yield _string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, _EPSILON)
    yield _string("tokenizer.ggml.model") + struct.pack("<I", 8) + _string("llama")
    yield _string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(NAMES)) + b"".join(map(_string, NAMES))
    yield _string("tokenizer.ggml.scores") + struct.pack(f"<IIQ{len(NAMES)}f", 9, 6, len(NAMES), *[0.0] * len(NAMES))
    yield _string("tokenizer.ggml.token_type") + struct.pack(f"<IIQ{len(_KINDS)}i", 9, 5, len(_KINDS), *_KINDS)
    yield number("tokenizer.ggml.bos_token_id", 1)
    yield number("tokenizer.ggml.eos_token_id", 2)
    for key in ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"):
        yield _string(key) + struct.pack("<I?", 7, False)
