from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Span
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.wire import Choice
from agentd.testing.gguf import chain, write_random_model, write_table_model

pytestmark = pytest.mark.native

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)


def load(path: Path, *, context: int = 512) -> Driver:
    return Driver(path, context=context, threads=1, gpu_layers=0, sequences=4)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    write_random_model(tmp_path / "random.gguf")
    return load(tmp_path / "random.gguf")


def span(slot: int, start: int, tokens: list[int], *, last: bool = True) -> Span:
    return Span(slot=slot, start=start, tokens=tokens, last=last)


def sampled(driver: Driver, number: int, choice: Choice = GREEDY, *, before: list[int] | None = None) -> int:
    sampler = Sampler(choice, vocabulary=driver.vocabulary, before=before or [])
    try:
        token = driver.sample(sampler, number)
        assert token is not None
        return token
    finally:
        sampler.free()


def test_the_next_token_is_the_one_of_the_table(tmp_path: Path) -> None:
    write_table_model(tmp_path / "table.gguf", chain("a", "Hello"))
    driver = load(tmp_path / "table.gguf")
    tokens = driver.vocabulary.tokenize("xa", special=False, after=None)
    assert driver.decode([span(0, 0, tokens)]) == "done"
    assert driver.vocabulary.piece(sampled(driver, 0)) == b"Hello"


def test_followers_come_as_often_as_the_table_says(tmp_path: Path) -> None:
    write_table_model(tmp_path / "table.gguf", {"a": {"Yes": 0.75, "No": 0.25}})
    driver = load(tmp_path / "table.gguf")
    driver.decode([span(0, 0, driver.vocabulary.tokenize("a", special=False, after=None))])
    choices = [GREEDY.model_copy(update={"temperature": 1.0, "seed": seed}) for seed in range(400)]
    said = [driver.vocabulary.piece(sampled(driver, 0, choice)) for choice in choices]
    assert set(said) == {b"Yes", b"No"}
    assert 0.65 < said.count(b"Yes") / len(said) < 0.85


def test_a_copied_beginning_is_as_good_as_a_decoded_one(driver: Driver) -> None:
    tokens = list(range(20, 60))
    driver.decode([span(0, 0, tokens)])
    expected = sampled(driver, 0)
    driver.copy(0, 1, 39)
    driver.decode([span(1, 39, tokens[39:])])
    assert sampled(driver, 0) == expected


def test_what_was_forgotten_has_no_influence(driver: Driver) -> None:
    driver.decode([span(0, 0, list(range(20, 60)))])
    expected = sampled(driver, 0)
    driver.decode([span(0, 40, [77, 78, 79])])
    assert driver.keep(0, 39)
    driver.decode([span(0, 39, [59])])
    assert sampled(driver, 0) == expected


def test_sequences_of_one_batch_do_not_see_each_other(driver: Driver) -> None:
    driver.decode([span(0, 0, list(range(20, 60)))])
    expected = sampled(driver, 0)
    driver.clear(0)
    driver.decode([span(2, 0, [90, 91]), span(1, 0, [5, 6, 7], last=False), span(0, 0, list(range(20, 60)))])
    assert sampled(driver, 2) == expected


def test_a_full_cache_says_so_and_goes_on_after_something_was_cleared(driver: Driver) -> None:
    driver.decode([span(0, 0, [9] * 500)])
    assert driver.decode([span(1, 0, [9] * 100)]) == "full"
    driver.clear(0)
    assert driver.decode([span(1, 0, [9] * 100)]) == "done"


def test_a_batch_that_cannot_be_is_refused(driver: Driver) -> None:
    assert driver.decode([span(0, 7, [9])]) == "done"
    assert driver.decode([span(0, 99, [10**6])]) == "failed"


def test_a_repeat_penalty_turns_the_model_away_from_what_was_said(tmp_path: Path) -> None:
    write_table_model(tmp_path / "table.gguf", {"a": {"Yes": 0.6, "No": 0.4}})
    driver = load(tmp_path / "table.gguf")
    tokens = driver.vocabulary.tokenize("a", special=False, after=None)
    driver.decode([span(0, 0, tokens)])
    yes = sampled(driver, 0)
    choice = GREEDY.model_copy(update={"repeat_penalty": 1.5})
    assert driver.vocabulary.piece(sampled(driver, 0, choice, before=[yes])) == b"No"


def test_the_context_is_no_larger_than_what_the_model_knows(tmp_path: Path) -> None:
    write_random_model(tmp_path / "small.gguf", context=300)
    assert load(tmp_path / "small.gguf", context=8192).context == 300


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    write_table_model(tmp_path / "new.gguf", chain("a", "b"), architecture="llama77")
    with pytest.raises(ModelError, match="'llama77'"):
        load(tmp_path / "new.gguf")
