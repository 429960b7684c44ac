"""Without settings, a model samples as its makers advise."""

from __future__ import annotations

import pytest

from agentd.models.llama.advice import Advice, advice_of, settled
from agentd.ports.generation import Sampling


@pytest.mark.parametrize(
    ("name", "temperature", "top_k"),
    [
        ("Qwen2.5 Coder 1.5B Instruct", 0.7, 20),
        ("SmolLM2 135M 8k Lc100K Mix1 Ep2", 0.2, 0),
        ("gemma-3-1b-it", 1.0, 64),
        ("something else", 0.7, 40),
        ("", 0.7, 40),
    ],
)
def test_a_family_is_known_by_the_name_in_the_file(name: str, temperature: float, top_k: int) -> None:
    found = advice_of(name, {})
    assert (found.temperature, found.top_k) == (temperature, top_k)


def test_what_the_file_says_comes_before_what_is_known_of_the_family() -> None:
    told = {"general.sampling.temp": 0.3, "general.sampling.top_k": 5, "general.sampling.top_p": "x"}
    found = advice_of("gemma", told)
    assert found == Advice(temperature=0.3, top_k=5, top_p=0.95, min_p=0.0)


def test_what_is_set_is_kept() -> None:
    found = settled(Sampling(temperature=0.0, top_p=0.5), Advice(temperature=1.0, top_k=7))
    assert (found.temperature, found.top_p, found.top_k, found.repeat_penalty) == (0.0, 0.5, 7, 1.0)
