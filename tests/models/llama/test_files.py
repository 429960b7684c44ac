from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama import files
from agentd.testing.gguf import chain, write_table_model


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    return path


def test_a_whole_model_is_accepted_with_the_size_of_its_cache(whole: Path) -> None:
    gguf = files.inspect(whole)
    assert (gguf.size, gguf.architecture) == (whole.stat().st_size, "llama")
    assert gguf.cache_bytes == 1 * 1 * (32 + 32) * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"GGUF", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1), "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + b"\0" * 32, "no weights"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + struct.pack("<I", 4) + b"\0" * 99, "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 77) + b"\0" * 99, "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60) + b"k" * 99, "cut off"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"PK\x03\x04archive/data.pkl", "not GGUF"),
        (b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
        (b"MZ\x90\0", "not a GGUF"),
    ],
)
def test_a_foreign_or_broken_file_is_named_as_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        files.inspect(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model file \S+none\.gguf;"):
        files.inspect(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="not a file"):
        files.inspect(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_says_so(whole: Path) -> None:
    whole.chmod(0)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        files.inspect(whole)


@pytest.mark.parametrize("kept", [24, 1000, 5000, 20_000, 0.5, 0.999999])
def test_a_download_that_was_cut_off_is_found_wherever_it_was_cut(whole: Path, kept: float) -> None:
    data = whole.read_bytes()
    whole.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ModelError, match="cut off"):
        files.inspect(whole)


def test_a_model_that_cannot_chat_is_named(tmp_path: Path) -> None:
    path = tmp_path / "embedder.gguf"
    write_table_model(path, chain("a", "b"), architecture="bert")
    with pytest.raises(ModelError, match="bert model"):
        files.inspect(path)
    assert files.inspect(path, chat=False).architecture == "bert"


def test_a_model_that_is_too_large_says_how_much_is_missing(whole: Path) -> None:
    gguf = files.inspect(whole)
    files.check_memory(gguf, context=8192, available=10**9)
    files.check_memory(gguf, context=8192, available=None)
    with pytest.raises(ModelError, match=r"needs about 0\.2 GB of memory .* but 0\.1 GB are available"):
        files.check_memory(gguf, context=8192, available=10**8)


def test_a_model_takes_no_memory_for_more_context_than_it_has(whole: Path) -> None:
    gguf = files.inspect(whole)
    most = files.memory_of(gguf, context=gguf.context)
    assert files.memory_of(gguf, context=2**40) == most
    files.check_memory(gguf, context=2**40, available=most)
    with pytest.raises(ModelError, match=" 8192 tokens"):
        files.check_memory(gguf, context=2**40, available=most - 1)
    assert files.memory_of(replace(gguf, context=0), context=gguf.context + 1) > most


def test_the_header_tells_what_a_person_wants_to_know(whole: Path, tmp_path: Path) -> None:
    gguf = files.inspect(whole)
    assert (gguf.context, gguf.chat_template) == (8192, True)
    write_table_model(tmp_path / "bare.gguf", chain("\n", "Hello"), chat_template=None)
    assert not files.inspect(tmp_path / "bare.gguf").chat_template
    assert files.memory_of(gguf, context=100) == gguf.size + 100 * gguf.cache_bytes + files.WORKING_BYTES
    assert [files.readable(size) for size in (2_500_000_000, 3_200_000)] == ["2.5 GB", "3 MB"]


def test_a_context_that_memory_cannot_hold_is_refused_with_what_to_set(whole: Path) -> None:
    gguf = replace(files.inspect(whole), context=0)
    left = 5000 * gguf.cache_bytes
    available = files.memory_of(gguf, context=0) + left
    for context in (10**6, 2**31, 2**64):
        with pytest.raises(ModelError, match=rf"context of {context} tokens.* set model\.context to 4864 or less"):
            files.check_memory(gguf, context=context, available=available)
    files.check_memory(gguf, context=4864, available=available)
    with pytest.raises(ModelError, match="smaller model") as caught:
        files.check_memory(gguf, context=4864, available=1000)
    assert "model.context" not in str(caught.value)


@pytest.mark.parametrize("context", [0, 2**31, 2**32 - 1])
def test_a_file_that_claims_an_impossible_context_is_refused(tmp_path: Path, context: int) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"), context=context)
    with pytest.raises(ModelError, match=f" {context} tokens"):
        files.inspect(path)
