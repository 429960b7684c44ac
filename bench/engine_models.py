"""Models for measuring: of a real model's cost, with weights that mean nothing and a vocabulary of their own.

Every word of the vocabulary is one token: a capital letter and up to three small ones; texts are words without blanks
between them. Needs the `gguf` package.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from numpy.typing import NDArray

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CONTROL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
_FIRST_WORD = 1 + len(_CONTROL) + 256
_HEAD = 64
_BLOCK = 32
"""Weights that share a scale in the formats Q4_0 and Q8_0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """`width` numbers for each token, in `layers` layers with `heads` heads of 64 that share `kv_heads` keys."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int


HALF_BILLION = Shape(layers=24, width=896, feed_forward=4864, heads=14, kv_heads=2, vocabulary=151_936)
"""Qwen2-0.5B's."""
SMALL = Shape(layers=4, width=256, feed_forward=1024, heads=4, kv_heads=2, vocabulary=32_000)


def words(count: int) -> list[str]:
    """The first so many words of four letters."""
    return list(itertools.islice(_words(4), count))


def _words(length: int) -> Iterator[str]:
    letters = itertools.product(string.ascii_uppercase, *[string.ascii_lowercase] * (length - 1))
    return ("".join(word) for word in letters)


def write_random_model(path: Path, shape: Shape, *, seed: int = 0) -> None:
    """Says words without end, whatever it is asked."""
    rng = np.random.default_rng(seed)
    embedding = _eight_bits(rng, shape.vocabulary, shape.width)
    embedding[:_FIRST_WORD] = 0  # what is not a word is never the likeliest
    _write(path, shape, rng, embedding, output=None, silent=False)


def write_quoting_model(path: Path, shape: Shape, circle: Sequence[str], *, seed: int = 0) -> None:
    """Says the words of the circle in their order, without end, beginning behind a line break."""
    rng = np.random.default_rng(seed)
    index = {name: i for i, name in enumerate(_names(shape))}
    embedding = _eight_bits(rng, shape.vocabulary, shape.width)
    output = np.zeros_like(embedding)
    places = [index[word] for word in circle]
    for before, after in itertools.pairwise([*places, places[0]]):
        output[after] = embedding[before]
    output[places[0]] = embedding[places[-1]]
    embedding[index["<0x0A>"]] = embedding[places[-1]]
    _write(path, shape, rng, embedding, output=output, silent=True)


def _names(shape: Shape) -> list[str]:
    names = ["<unk>", *_CONTROL, *(f"<0x{i:02X}>" for i in range(256))]
    every = (word for length in (1, 2, 3, 4) for word in _words(length))
    return [*names, *itertools.islice(every, shape.vocabulary - len(names))]


def _type(position: int) -> TokenType:
    if position == 0:
        return TokenType.UNKNOWN
    if position <= len(_CONTROL):
        return TokenType.CONTROL
    return TokenType.BYTE if position < _FIRST_WORD else TokenType.NORMAL


def _four_bits(rng: np.random.Generator, rows: int, columns: int, *, silent: bool = False) -> NDArray[np.uint8]:
    """Weights in Q4_0 as bytes: a scale of two bytes and 32 weights of half a byte, of variance 1 / columns."""
    blocks = np.empty((rows, columns // _BLOCK, 18), np.uint8)
    scale = np.float16(0.0 if silent else 1 / (4.61 * np.sqrt(columns)))
    blocks[:, :, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    blocks[:, :, 2:] = rng.integers(0, 256, blocks[:, :, 2:].shape, np.uint8)
    return blocks.reshape(rows, -1)


def _eight_bits(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    """Weights in Q8_0 as bytes: a scale of two bytes and 32 weights of one byte."""
    blocks = np.empty((rows, columns // _BLOCK, 34), np.uint8)
    scale = np.float16(1 / (73.6 * np.sqrt(columns)))
    blocks[:, :, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    blocks[:, :, 2:] = rng.integers(-127, 128, blocks[:, :, 2:].shape, np.int8).view(np.uint8)
    return blocks.reshape(rows, -1)


def _write(
    path: Path,
    shape: Shape,
    rng: np.random.Generator,
    embedding: NDArray[np.uint8],
    *,
    output: NDArray[np.uint8] | None,
    silent: bool,
) -> None:
    writer = _header(path, shape)
    four, eight = GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q8_0
    writer.add_tensor("token_embd.weight", embedding, raw_dtype=eight)
    if output is not None:
        writer.add_tensor("output.weight", output, raw_dtype=eight)
    writer.add_tensor("output_norm.weight", np.ones(shape.width, np.float32))
    keys = shape.kv_heads * _HEAD
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}{name}.weight", np.ones(shape.width, np.float32))
        for name, rows in (("attn_q", shape.width), ("attn_k", keys), ("attn_v", keys)):
            writer.add_tensor(f"{block}{name}.weight", _four_bits(rng, rows, shape.width), raw_dtype=four)
            writer.add_tensor(f"{block}{name}.bias", np.zeros(rows, np.float32))
        for name, rows, columns in (
            ("attn_output", shape.width, shape.width),
            ("ffn_gate", shape.feed_forward, shape.width),
            ("ffn_up", shape.feed_forward, shape.width),
            ("ffn_down", shape.width, shape.feed_forward),
        ):
            quiet = silent and name in ("attn_output", "ffn_down")
            weights = _four_bits(rng, rows, columns, silent=quiet)
            writer.add_tensor(f"{block}{name}.weight", weights, raw_dtype=four)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _header(path: Path, shape: Shape) -> GGUFWriter:
    writer = GGUFWriter(str(path), "qwen2")
    writer.add_name(path.stem)
    writer.add_context_length(32_768)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(2)
    names = _names(shape)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([0.0] * len(names))
    writer.add_token_types([_type(i) for i in range(len(names))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHATML)
    return writer
