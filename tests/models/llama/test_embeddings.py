from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from agentd.models.llama.embedding import BATCH, TEXTS
from agentd.models.llama.embeddings import LAG, Embeddings, batch
from agentd.models.llama.wire import Embed, Embedded, FromChild, OpenedEmbedder, OpenEmbedder, Refused
from agentd.testing.gguf import chain, write_table_model

pytestmark = pytest.mark.native


class Bench:
    def __init__(self, path: Path) -> None:
        self.told: list[FromChild] = []
        self.embeddings = Embeddings(self.told.append)
        self.open(path)

    def open(self, path: Path) -> None:
        self.embeddings.open(OpenEmbedder(id=0, path=str(path), threads=1))

    def embed(self, number: int, *texts: str, urgent: bool = False) -> None:
        self.embeddings.embed(Embed(id=number, texts=texts, urgent=urgent))

    def run(self, *, beside: bool = False) -> int:
        steps = 0
        while self.embeddings.busy:
            self.embeddings.step(beside=beside)
            steps += 1
            assert steps < 1000
        return steps

    def ends(self) -> list[int]:
        return [told.id for told in self.told if isinstance(told, Embedded)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_table_model(tmp_path / "bag.gguf", chain("a", "b"))
    return Bench(tmp_path / "bag.gguf")


def test_texts_become_vectors_in_their_order(bench: Bench) -> None:
    assert bench.told == [OpenedEmbedder(id=0, dimension=512)]
    bench.embed(1, *"abcab")
    bench.run()
    (told,) = bench.told[1:]
    assert isinstance(told, Embedded)
    vectors = np.frombuffer(base64.b64decode(told.vectors), "<f4").reshape(5, 512)
    assert np.allclose(vectors @ vectors.T, [[x == y for x in "abcab"] for y in "abcab"], atol=1e-3)


def test_a_request_takes_as_many_steps_as_it_has_batches(bench: Bench) -> None:
    bench.embed(1, *["x" * 300] * 3)
    assert bench.run() == 3
    bench.embed(2, *["x"] * (TEXTS + 1))
    assert bench.run() == 2


def test_what_somebody_waits_for_goes_first(bench: Bench) -> None:
    bench.embed(1, *["x" * 300] * 3)
    bench.embeddings.step(beside=False)
    bench.embed(2, "where?", urgent=True)
    bench.run()
    assert bench.ends() == [2, 1]


def test_beside_answers_an_ingest_has_its_part_in_few_steps_and_a_question_in_the_next(bench: Bench) -> None:
    bench.embed(1, *["x" * 300] * 3)
    assert bench.run(beside=True) > 2 * LAG
    bench.embed(2, "where?", urgent=True)
    assert bench.run(beside=True) == 1


def test_what_nobody_wants_any_more_is_not_made(bench: Bench) -> None:
    bench.embed(1, "a")
    bench.embed(2, "b", urgent=True)
    bench.embeddings.cancel(1)
    bench.embeddings.cancel(2)
    bench.embeddings.cancel(3)
    assert not bench.embeddings.busy


def test_no_texts_are_no_vectors(bench: Bench) -> None:
    bench.embed(1)
    bench.run()
    assert bench.told[1:] == [Embedded(id=1, vectors="")]


def test_a_model_that_cannot_be_used_is_refused_and_the_one_before_stays(bench: Bench, tmp_path: Path) -> None:
    bench.open(tmp_path / "none.gguf")
    (refused,) = bench.told[1:]
    assert isinstance(refused, Refused) and "no model file" in refused.reason
    bench.embed(1, "a")
    bench.run()
    assert bench.ends() == [1]


def test_without_a_model_there_are_no_vectors() -> None:
    told: list[FromChild] = []
    Embeddings(told.append).embed(Embed(id=1, texts=("a",), urgent=False))
    (refused,) = told
    assert isinstance(refused, Refused) and refused.id == 1 and "embedding model" in refused.reason


@pytest.mark.parametrize(
    ("lengths", "count"),
    [([BATCH], 1), ([BATCH // 2, BATCH // 2, 1], 2), ([1] * (TEXTS + 9), TEXTS), ([BATCH + 1, 1], 1), ([3, 4], 2)],
)
def test_a_batch_takes_what_fits_and_one_text_at_least(lengths: list[int], count: int) -> None:
    assert len(batch([[0] * length for length in lengths])) == count
