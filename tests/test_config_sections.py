"""Every key has a meaning and a sane default, and sections agree with the records that are made of them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agentd.config import known_keys
from agentd.config.sections import (
    AgentSection,
    DaemonSection,
    DeliverySection,
    LimitsSection,
    ModelSection,
    SamplingSection,
)
from agentd.delivery import Policy
from agentd.generation import Limits, Sampling


def test_the_defaults_are_those_of_the_records_that_are_made_of_them() -> None:
    assert Sampling(**SamplingSection().model_dump()) == Sampling()
    assert Limits(**LimitsSection().model_dump()) == Limits()
    assert Policy(**DeliverySection().model_dump(exclude={"dead_retention_days"})) == Policy()


def test_every_key_says_what_it_means() -> None:
    for known in known_keys():
        assert known.meaning, known.key
        assert "|" not in known.meaning and not known.meaning.endswith("."), known.key


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AgentSection().concurrency = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", [True, -1, float("inf"), float("nan"), "soon", None])
def test_a_time_is_a_finite_number_that_is_not_negative(value: object) -> None:
    with pytest.raises(ValidationError):
        DaemonSection.model_validate({"grace": value})


@pytest.mark.parametrize("value", [True, 0, -1, 2.5, "two", None])
def test_a_count_is_a_whole_number_from_one(value: object) -> None:
    with pytest.raises(ValidationError):
        AgentSection.model_validate({"concurrency": value})


def test_an_empty_text_takes_an_optional_key_back_to_none() -> None:
    model = ModelSection.model_validate({"path": "", "threads": "", "sampling": {"seed": ""}})
    assert (model.path, model.threads, model.sampling.seed) == (None, None, None)


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_age \(10\) is more than max_age \(5\)"):
        DeliverySection(min_age=10, max_age=5)
    with pytest.raises(ValidationError, match=r"backoff_base .* is more than backoff_cap"):
        DeliverySection(backoff_base=10, backoff_cap=5)
    with pytest.raises(ValidationError, match="leaves no room for a prompt"):
        ModelSection(context=512, sampling=SamplingSection(max_tokens=512))
