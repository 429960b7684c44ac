"""False headers are refused at once, and nothing is allocated for what they claim."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama import header
from agentd.testing.gguf import chain, write_table_model

U8, U32, STRING, ARRAY = 0, 4, 8, 9
HOLES = 1 << 33
"""Bytes of a sparse file, which takes no room on the disk, so that its size is no limit."""
MOST_SECONDS, MOST_BYTES = 20.0, 128 << 20
"""Limits on processor time and memory; without them, a false header takes minutes and gigabytes."""


def text(value: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def file_of(*pairs: bytes, tensors: int = 1, count: int | None = None, rest: bytes = b"") -> bytes:
    promised = len(pairs) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, promised) + b"".join(pairs) + rest


def tensor(*dimensions: int, kind: int = 0, offset: int = 0) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in dimensions)
    return text(b"t") + struct.pack("<I", len(dimensions)) + sizes + struct.pack("<IQ", kind, offset)


HUGE = 2**63
LIES = {
    "pairs": file_of(count=HUGE),
    "as many pairs as have room": file_of(count=HOLES // 16),
    "tensors": file_of(tensors=HUGE),
    "as many tensors as have room": file_of(tensors=HOLES // 32),
    "a key": file_of(text(b"k", length=HUGE)),
    "a key that has room": file_of(text(b"k", length=HOLES // 2)),
    "a text": file_of(pair(b"k", STRING, text(b"", length=HUGE))),
    "a text that has room": file_of(pair(b"k", STRING, text(b"", length=HOLES // 2))),
    "an array": file_of(pair(b"k", ARRAY, struct.pack("<IQ", U8, HUGE))),
    "an array of texts": file_of(pair(b"k", ARRAY, struct.pack("<IQ", STRING, HUGE))),
    "an array of as many texts as have room": file_of(pair(b"k", ARRAY, struct.pack("<IQ", STRING, HOLES // 9))),
    "an array that has room": file_of(pair(b"k", ARRAY, struct.pack("<IQ", U8, HOLES // 2))),
    "a text in an array that has room": file_of(pair(b"k", ARRAY, struct.pack("<IQQ", STRING, 1, HOLES // 2))),
    "an array of arrays": file_of(pair(b"k", ARRAY, struct.pack("<IQ", ARRAY, HUGE))),
    "a tensor's size": file_of(rest=tensor(HUGE, HUGE, HUGE, HUGE)),
    "a tensor's place": file_of(rest=tensor(32, 32, offset=HUGE)),
    "a tensor's dimensions": file_of(rest=text(b"t") + struct.pack("<I", 2**32 - 1)),
    "an alignment": file_of(pair(b"general.alignment", U32, struct.pack("<I", 0)), rest=tensor(32)),
    "many long names": file_of(
        *(pair(b"%d" % i, STRING, text(b"x" * 5000)) for i in range(9_000)),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_in_words_and_costs_nothing(tmp_path: Path, lie: str) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(LIES[lie])
        file.truncate(HOLES)
    seconds, held = cost(lambda: refuse(path))
    assert seconds < MOST_SECONDS and held < MOST_BYTES


def test_the_texts_of_all_arrays_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "MOST_STRINGS", 1000)
    path = tmp_path / "model.gguf"
    arrays = [pair(b"%d" % i, ARRAY, struct.pack("<IQ", STRING, 600) + bytes(8 * 600)) for i in range(2)]
    path.write_bytes(file_of(arrays[0], rest=tensor(8) + bytes(64)))
    header.read(path)
    path.write_bytes(file_of(*arrays, rest=tensor(8) + bytes(64)))
    with pytest.raises(ModelError, match=r"600 .* more than 400"):
        header.read(path)


def refuse(path: Path) -> None:
    with pytest.raises(ModelError, match=r"is cut off|is damaged|no model needs that") as caught:
        header.read(path)
    assert len(str(caught.value)) < 1000


def cost(work: Callable[[], None]) -> tuple[float, int]:
    """Processor time in seconds, and bytes at most."""
    tracemalloc.start()
    start = time.process_time()
    try:
        work()
        return time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_of_a_long_text_the_beginning_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    long = "ä" * 100_001
    path.write_bytes(file_of(pair(b"k", STRING, text(b"x" + long.encode())), rest=tensor(8) + bytes(64)))
    kept = header.read(path).facts["k"]
    assert isinstance(kept, str) and kept == "x" + long[: len(kept) - 1] and 1000 < len(kept) <= header.KEPT_TEXT


def test_a_whole_file_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    found = header.read(path)
    assert found.size == path.stat().st_size
    assert found.facts["general.architecture"] == "llama" and found.types == {"F32"} and found.tensors > 5


def test_every_type_that_has_a_name_has_a_size() -> None:
    assert set(header.TYPES) == set(header._BLOCKS)
