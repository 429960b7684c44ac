from __future__ import annotations

from collections import Counter

import pytest

from agentd.errors import ModelError
from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Span
from agentd.models.llama.sampler import Grammar, Sampler
from agentd.models.llama.wire import Choice
from agentd.testing.gguf import Followers, write_table_model

pytestmark = pytest.mark.native

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
ODDS: Followers = {"a": {"b": 0.5, "c": 0.3, "d": 0.2}, "b": "c"}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    path = tmp_path_factory.mktemp("models") / "table.gguf"
    write_table_model(path, ODDS)
    return Driver(path, context=256, threads=1, gpu_layers=0, sequences=1)


def token(driver: Driver, text: str) -> int:
    (found,) = driver.vocabulary.tokenize(text, special=False, after=1)
    return found


def next_after(driver: Driver, text: str, sampler: Sampler) -> str | None:
    driver.clear(0)
    assert driver.decode([Span(slot=0, start=0, tokens=[token(driver, text)], last=True)]) == "done"
    found = driver.sample(sampler, 0)
    return None if found is None else driver.vocabulary.text(found)


def sampler(driver: Driver, choice: Choice, grammar: bytes | None = None, *, constrained: bool = True) -> Sampler:
    made = Sampler(choice, vocabulary=driver.vocabulary, before=[], grammar=grammar)
    if constrained:
        made.constrain()
    return made


def test_without_a_grammar_the_model_has_its_way(driver: Driver) -> None:
    assert next_after(driver, "a", sampler(driver, GREEDY)) == "b"


def test_a_grammar_takes_the_best_of_what_it_allows(driver: Driver) -> None:
    assert next_after(driver, "a", sampler(driver, GREEDY, b"root ::= [cd]")) == "c"
    assert next_after(driver, "a", sampler(driver, GREEDY, b"root ::= [bcd]")) == "b"


def test_a_grammar_counts_only_from_when_it_is_told_to(driver: Driver) -> None:
    waiting = sampler(driver, GREEDY, b"root ::= [d] [d]", constrained=False)
    assert next_after(driver, "a", waiting) == "b"
    waiting.constrain()
    assert [next_after(driver, "a", waiting) for _ in range(3)] == ["d", "d", "</s>"]


def test_among_what_a_grammar_allows_the_odds_stay_as_they_are(driver: Driver) -> None:
    choice = GREEDY.model_copy(update={"temperature": 1.0})
    found = Counter(
        next_after(driver, "a", sampler(driver, choice.model_copy(update={"seed": seed}), b"root ::= [cd]"))
        for seed in range(300)
    )
    assert set(found) == {"c", "d"} and 0.5 < found["c"] / 300 < 0.7  # 0.3 / (0.3 + 0.2)


def test_a_grammar_that_leads_nowhere_gives_no_token(driver: Driver) -> None:
    stuck = sampler(driver, GREEDY, b"root ::= [c] [\\x00]")
    assert [next_after(driver, "a", stuck) for _ in range(2)] == ["c", None]
    assert Grammar(b"root ::= [c]", driver.vocabulary).any_allowed()
    assert not Grammar(b"root ::= [\\x00]", driver.vocabulary).any_allowed()


def test_a_grammar_that_llama_cpp_does_not_take_is_an_error_and_no_crash(driver: Driver) -> None:
    for bad in (b"root ::= (", b"root ::= nowhere", b"root ::= root [a]", b"other ::= [a]"):
        with pytest.raises(ModelError, match=r"llama\.cpp does not"):
            Grammar(bad, driver.vocabulary)


def test_the_repeat_penalty_counts_what_a_grammar_let_through(driver: Driver) -> None:
    penalty = GREEDY.model_copy(update={"repeat_penalty": 10.0})
    free = sampler(driver, penalty, b"root ::= [bc]+")
    assert [next_after(driver, "a", free) for _ in range(2)] == ["b", "c"]
