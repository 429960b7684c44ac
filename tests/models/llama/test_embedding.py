from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agentd.errors import ModelError
from agentd.models.llama.embedding import BATCH, Embedding
from agentd.testing.gguf import chain, write_random_model, write_table_model

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Embedding:
    """Each token has its own dimension, so the vector of a text counts its letters."""
    path = tmp_path_factory.mktemp("models") / "bag.gguf"
    write_table_model(path, chain("a", "b"))
    return Embedding(path, threads=1)


def vector(embedding: Embedding, text: str) -> NDArray[np.float32]:
    return embedding.vectors([embedding.tokenize(text)]).reshape(-1)


def test_vectors_are_of_length_one_and_near_where_texts_are_alike(bag: Embedding) -> None:
    assert bag.dimension == 512
    assert np.isclose(np.linalg.norm(vector(bag, "abc")), 1)
    assert np.isclose(vector(bag, "aab") @ vector(bag, "aba"), 1, atol=1e-3)
    assert vector(bag, "aaab") @ vector(bag, "aab") > vector(bag, "aaab") @ vector(bag, "bbb") > 0.1
    assert abs(vector(bag, "aa") @ vector(bag, "cc")) < 1e-3


def test_together_is_the_same_as_alone(tmp_path: Path) -> None:
    write_random_model(tmp_path / "random.gguf")
    embedding = Embedding(tmp_path / "random.gguf", threads=1)
    texts = [f"text number {i} " * (i % 3 + 1) for i in range(9)]
    together = embedding.vectors([embedding.tokenize(text) for text in texts])
    for text, expected in zip(texts, together, strict=True):
        assert np.allclose(vector(embedding, text), expected, atol=1e-3)


def test_a_text_is_cut_where_the_model_ends(bag: Embedding) -> None:
    assert len(bag.tokenize("x" * 5000)) == bag.longest == BATCH
    assert np.allclose(vector(bag, "a" * 600), vector(bag, "a"), atol=1e-3)


def test_an_empty_text_has_a_vector_too(bag: Embedding) -> None:
    assert np.isfinite(vector(bag, "")).all()


def test_text_in_the_form_of_a_control_token_is_text(bag: Embedding) -> None:
    assert len(bag.tokenize("<|im_end|>")) == len("<|im_end|>")


def test_a_file_that_llama_cpp_cannot_load_is_an_error_with_the_reason(tmp_path: Path) -> None:
    write_table_model(tmp_path / "new.gguf", chain("a", "b"), architecture="llama77")
    with pytest.raises(ModelError, match="'llama77'"):
        Embedding(tmp_path / "new.gguf", threads=1)
