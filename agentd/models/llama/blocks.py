"""The quantized formats of weights in model files: random weights, and the numbers that they stand for.

The forms are those of ggml (https://github.com/ggml-org/ggml, `ggml-common.h` and `ggml-quants.c`): a row is cut into
blocks, and a block holds small integers and their scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One format. `number` is ggml's; `numbers` turns blocks (blocks, size) into floats (blocks, weights).

    `scales` maps the offset of each 2-byte float in a block to its share of the wanted spread.
    """

    number: int
    weights: int
    size: int
    scales: Mapping[int, float]
    numbers: Callable[[Bytes], Floats]


def random_weights(form: Form, rows: int, width: int, spread: float, rng: np.random.Generator) -> tuple[bytes, Floats]:
    """A matrix in the form of a file, and its numbers (rows, width): around 0, with about this standard deviation.

    All parts of a block are random, so a kernel that reads any of them wrongly is noticed.
    """
    count = rows * width // form.weights
    if not form.scales:
        blocks = _as_floats(form, (rng.random((count, 1), np.float32) - np.float32(0.5)) * np.float32(12**0.5 * spread))
    else:
        blocks = rng.integers(0, 256, (count, form.size), np.uint8)
        larger = rng.uniform(0.5, 1.5, count) * spread
        for offset, share in form.scales.items():
            blocks[:, offset : offset + 2] = (larger * share).astype("<f2")[:, None].view(np.uint8)
    return blocks.tobytes(), form.numbers(blocks).reshape(rows, width)


def _as_floats(form: Form, numbers: Floats) -> Bytes:
    """For the forms without blocks: each number, rounded."""
    if form.number == _BF16:
        return np.ascontiguousarray(numbers.astype("<f4").view(np.uint8)[:, 2:])
    return numbers.astype("<f2" if form.size == 2 else "<f4").view(np.uint8)


def _float32(blocks: Bytes) -> Floats:
    return blocks.view("<f4").astype(np.float32)


def _float16(blocks: Bytes) -> Floats:
    return blocks.view("<f2").astype(np.float32)


def _bfloat16(blocks: Bytes) -> Floats:
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _half(blocks: Bytes, offset: int) -> Floats:
    return np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2").astype(np.float32)


def _nibbles(found: Bytes) -> NDArray[np.int32]:
    """The lower halves of all bytes, then the upper ones."""
    return np.concatenate([found & 15, found >> 4], axis=-1).astype(np.int32)


def _bits(found: Bytes) -> NDArray[np.int32]:
    """The bits of each byte, the lowest first."""
    return np.unpackbits(found, axis=-1, bitorder="little").astype(np.int32)


def _q4_0(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]) - 8)


def _q4_1(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]) + _half(blocks, 2)


def _q5_0(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * (_nibbles(blocks[:, 6:]) + 16 * _bits(blocks[:, 2:6]) - 16)


def _q5_1(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * (_nibbles(blocks[:, 8:]) + 16 * _bits(blocks[:, 4:8])) + _half(blocks, 2)


def _q8_0(blocks: Bytes) -> Floats:
    return _half(blocks, 0) * np.ascontiguousarray(blocks[:, 2:]).view(np.int8)


def _scales_and_floors(packed: Bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Eight of each, of 6 bits, in 12 bytes: (blocks, 8)."""
    first, second, rest = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([first & 63, (rest & 15) | (first >> 6 << 4)], axis=1)
    floors = np.concatenate([second & 63, (rest >> 4) | (second >> 6 << 4)], axis=1)
    return scales.astype(np.int32), floors.astype(np.int32)


def _scaled(blocks: Bytes, quants: NDArray[np.int32]) -> Floats:
    """Eight parts of 32 weights, each with a scale and a floor."""
    scales, floors = _scales_and_floors(blocks[:, 4:16])
    parts = (_half(blocks, 0) * scales)[:, :, None] * quants - (_half(blocks, 2) * floors)[:, :, None]
    return parts.reshape(len(blocks), 256).astype(np.float32)


def _q4_k(blocks: Bytes) -> Floats:
    return _scaled(blocks, _nibbles(blocks[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32))


def _q5_k(blocks: Bytes) -> Floats:
    quants = _nibbles(blocks[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return _scaled(blocks, quants + 16 * _bits(blocks[:, 16:48, None]).swapaxes(1, 2))


def _q6_k(blocks: Bytes) -> Floats:
    low = _nibbles(blocks[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(4, 1) & 3
    quants = (low | high.astype(np.int32) << 4).reshape(-1, 16, 16) - 32
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.int32)
    return ((_half(blocks, 208) * scales)[:, :, None] * quants).reshape(-1, 256).astype(np.float32)


_BF16 = 30
FORMS: Mapping[str, Form] = {
    "F32": Form(number=0, weights=1, size=4, scales={}, numbers=_float32),
    "F16": Form(number=1, weights=1, size=2, scales={}, numbers=_float16),
    "BF16": Form(number=_BF16, weights=1, size=2, scales={}, numbers=_bfloat16),
    "Q4_0": Form(number=2, weights=32, size=18, scales={0: 1 / 4.6}, numbers=_q4_0),
    "Q4_1": Form(number=3, weights=32, size=20, scales={0: 1 / 4.6, 2: -7.5 / 4.6}, numbers=_q4_1),
    "Q5_0": Form(number=6, weights=32, size=22, scales={0: 1 / 9.2}, numbers=_q5_0),
    "Q5_1": Form(number=7, weights=32, size=24, scales={0: 1 / 9.2, 2: -15.5 / 9.2}, numbers=_q5_1),
    "Q8_0": Form(number=8, weights=32, size=34, scales={0: 1 / 74}, numbers=_q8_0),
    "Q4_K": Form(number=12, weights=256, size=144, scales={0: 1 / 270, 2: 7.5 / 270}, numbers=_q4_k),
    "Q5_K": Form(number=13, weights=256, size=176, scales={0: 1 / 550, 2: 15.5 / 550}, numbers=_q5_k),
    "Q6_K": Form(number=14, weights=256, size=210, scales={208: 1 / 1360}, numbers=_q6_k),
}
"""By the names that ggml gives them."""
