"""Tiny real GGUF models, written in well under a second, whose answers a test can predict.

`write_table_model` knows its next token by construction: embeddings are one-hot, the only block adds nothing, and the
output matrix is the table. `write_random_model` depends on every token before, so that a mixed-up cache shows.
Text is tokenised to one token per UTF-8 byte and one per space; every word of a table is one token, and so is each of
`CONTROL`. Needs the `gguf` package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

CONTROL = ("<|im_start|>", "<|im_end|>")
END = "</s>"
SPACE = "\u2581"
"""The vocabulary's character for a space."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Ends with a line break, so that the answer begins with what follows "\\n" in the table."""

_BYTES = 3
"""The first byte token, after <unk>, <s> and </s>."""
_WIDTH = 512
_RANDOM_WIDTH = 128
_HEAD = 32
_FEED_FORWARD = 32

Followers = Mapping[str, "str | Mapping[str, float]"]


def chain(*tokens: str) -> dict[str, str]:
    """A table in which each token is followed by the next one, and the last one by whatever else the table says."""
    return dict(itertools.pairwise(tokens))


def write_table_model(
    path: Path,
    follows: Followers,
    *,
    chat_template: str | None = CHATML,
    context: int = 8192,
    architecture: str = "llama",
    space_prefix: bool = False,
) -> None:
    """A model whose next token depends on the last one alone: `follows[token]`, or the end of the answer.

    A token is a character, a word, one of `CONTROL`, `END`, or a byte as "<0xC3>". A mapping instead of a token gives
    each follower its probability at temperature 1. At most 240 words.
    """
    followers = {_name(token): _probabilities(after) for token, after in follows.items()}
    names = _vocabulary(sorted({name for token, after in followers.items() for name in (token, *after)}), _WIDTH)
    index = {name: i for i, name in enumerate(names)}
    table = np.zeros((_WIDTH, _WIDTH), np.float32)
    table[index[END], :] = 0.5
    scale = math.sqrt(_WIDTH)  # what the root-mean-square norm makes of a one-hot vector
    for token, after in followers.items():
        for name, probability in after.items():
            table[index[name], index[token]] = 1 + math.log(probability) / scale
    block = {name: np.zeros(shape, np.float32) for name, shape in _block(_WIDTH, 1).items()}
    _write(
        path,
        names,
        {"token_embd": np.eye(_WIDTH, dtype=np.float32), "output": table, **block},
        chat_template=chat_template,
        context=context,
        architecture=architecture,
        space_prefix=space_prefix,
        heads=1,
    )


def write_random_model(path: Path, *, seed: int = 0, context: int = 8192, chat_template: str | None = CHATML) -> None:
    """A model of random weights that says words ("w000 w131 ...") without end; each depends on all before it.

    Each head looks at all tokens equally and adds small whole numbers, which are exact in any order. So an answer is
    the same in every batch, and different if a token is missing or one too many is seen.
    """
    rng = np.random.default_rng(seed)
    words = [f"{SPACE}w{i:03}" for i in range(200)]
    names = _vocabulary(words, _WIDTH)
    width = _RANDOM_WIDTH

    def random(rows: int, columns: int, scale: float = 1.0) -> NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * scale / math.sqrt(columns)).astype(np.float32)

    signs = rng.choice(np.array([-1, 1], np.float32), (_WIDTH, width))
    output = np.zeros((_WIDTH, width), np.float32)
    output[[i for i, name in enumerate(names) if name in set(words)]] = random(len(words), width, 8)
    block = {name: np.zeros(shape, np.float32) for name, shape in _block(width, 4).items()}
    for row in block["blk.0.attn_v"]:
        row[rng.choice(width, 4, replace=False)] = rng.choice([-1, 1], 4)
    block["blk.0.attn_output"] = random(width, width, 16)
    _write(
        path,
        names,
        {"token_embd": signs, "output": output, **block},
        chat_template=chat_template,
        context=context,
        architecture="llama",
        space_prefix=False,
        heads=4,
    )


def write_recurrent_model(
    path: Path, *, seed: int = 0, context: int = 8192, chat_template: str | None = CHATML
) -> None:
    """Like `write_random_model`, but a recurrent one (Mamba), whose memory of a conversation cannot be cut."""
    rng = np.random.default_rng(seed)
    words = [f"{SPACE}w{i:03}" for i in range(200)]
    names = _vocabulary(words, _WIDTH)
    width, inner, states, rank = _RANDOM_WIDTH, 2 * _RANDOM_WIDTH, 16, 8

    def random(rows: int, columns: int, scale: float = 1.0) -> NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * scale / math.sqrt(columns)).astype(np.float32)

    output = np.zeros((_WIDTH, width), np.float32)
    output[[i for i, name in enumerate(names) if name in set(words)]] = random(len(words), width, 8)
    block = {
        "ssm_in.weight": random(2 * inner, width, 2),
        "ssm_conv1d.weight": random(inner, 4, 2),
        "ssm_conv1d.bias": np.zeros(inner, np.float32),
        "ssm_x.weight": random(rank + 2 * states, inner, 4),
        "ssm_dt.weight": random(inner, rank),
        "ssm_dt.bias": np.full(inner, -3, np.float32),
        "ssm_a": -rng.uniform(0.01, 0.5, (inner, states)).astype(np.float32),
        "ssm_d": np.ones(inner, np.float32),
        "ssm_out.weight": random(width, inner, 4),
    }
    writer = _writer(path, names, "mamba", width, chat_template=chat_template, context=context, space_prefix=False)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(states)
    writer.add_ssm_time_step_rank(rank)
    norms = {"output_norm.weight": np.ones(width, np.float32), "blk.0.attn_norm.weight": np.ones(width, np.float32)}
    tensors = {"token_embd.weight": random(_WIDTH, width, 8), "output.weight": output, **norms}
    _finish(writer, {**tensors, **{f"blk.0.{name}": value for name, value in block.items()}})


def _block(width: int, heads: int) -> dict[str, tuple[int, int]]:
    """The shapes (rows, columns) of the matrices of the only block."""
    inner = {name: (heads * _HEAD, width) for name in ("attn_q", "attn_k", "attn_v")}
    outer = {"attn_output": (width, heads * _HEAD), "ffn_down": (width, _FEED_FORWARD)}
    feed = {name: (_FEED_FORWARD, width) for name in ("ffn_gate", "ffn_up")}
    return {f"blk.0.{name}": shape for name, shape in {**inner, **outer, **feed}.items()}


def _probabilities(after: str | Mapping[str, float]) -> dict[str, float]:
    if isinstance(after, str):
        return {_name(after): 1.0}
    return {_name(token): probability for token, probability in after.items()}


def _name(token: str) -> str:
    """The name of a token in the vocabulary; an ASCII character other than the space is its byte."""
    token = token.replace(" ", SPACE)
    return f"<0x{ord(token):02X}>" if len(token) == 1 and ord(token) < 128 else token


def _vocabulary(tokens: Sequence[str], size: int) -> list[str]:
    names = ["<unk>", "<s>", END, *(f"<0x{i:02X}>" for i in range(256)), *CONTROL, SPACE]
    names += [token for token in tokens if token not in set(names)]
    if len(names) > size:
        raise ValueError(f"{len(names)} tokens do not fit into a vocabulary of {size}; use fewer words")
    return [*names, *(f"<unused{i}>" for i in range(size - len(names)))]


def _type(position: int, name: str) -> TokenType:
    if position == 0:
        return TokenType.UNKNOWN
    if position < _BYTES or name in CONTROL:
        return TokenType.CONTROL
    if position < _BYTES + 256:
        return TokenType.BYTE
    return TokenType.UNUSED if name.startswith("<unused") else TokenType.NORMAL


def _write(
    path: Path,
    names: Sequence[str],
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    chat_template: str | None,
    context: int,
    architecture: str,
    space_prefix: bool,
    heads: int,
) -> None:
    width = tensors["token_embd"].shape[1]
    writer = _writer(
        path, names, architecture, width, chat_template=chat_template, context=context, space_prefix=space_prefix
    )
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_key_length(_HEAD)
    writer.add_value_length(_HEAD)
    writer.add_rope_dimension_count(_HEAD)
    ones = np.ones(width, np.float32)
    norms = {"output_norm": ones, "blk.0.attn_norm": ones, "blk.0.ffn_norm": ones}
    _finish(writer, {f"{name}.weight": value for name, value in {**tensors, **norms}.items()})


def _writer(
    path: Path,
    names: Sequence[str],
    architecture: str,
    width: int,
    *,
    chat_template: str | None,
    context: int,
    space_prefix: bool,
) -> GGUFWriter:
    """A writer with what all these models share: one block and the vocabulary."""
    writer = GGUFWriter(str(path), architecture)
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(names))
    writer.add_token_scores([0.0] * len(names))
    writer.add_token_types([_type(i, name) for i, name in enumerate(names)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(space_prefix)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    return writer


def _finish(writer: GGUFWriter, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    for name, value in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
