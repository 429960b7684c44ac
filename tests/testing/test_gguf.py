from __future__ import annotations

from pathlib import Path

import pytest

from agentd.models.llama import files
from agentd.testing.gguf import chain, write_random_model, write_table_model


def test_a_table_model_is_a_small_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello", " world"))
    assert path.stat().st_size < 3_000_000
    assert files.inspect(path).architecture == "llama"


def test_the_same_seed_writes_the_same_random_model(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_model(tmp_path / name, seed=seed)
    weights = {name: (tmp_path / name).read_bytes()[-100_000:] for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]


def test_too_many_words_are_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary of 512"):
        write_table_model(tmp_path / "large.gguf", chain(*(f"word{i}" for i in range(300))))


def test_a_chain_leads_from_each_token_to_the_next() -> None:
    assert chain("a", "b", "c") == {"a": "b", "b": "c"}
