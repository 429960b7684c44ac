"""Every key has a meaning and a sane default, and sections agree with the records that are made of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from agentd.config import known_keys, load, origins
from agentd.config.sections import (
    AgentSection,
    BudgetsSection,
    DaemonSection,
    DeliverySection,
    LimitsSection,
    ModelSection,
    RemoteSection,
    SamplingSection,
)
from agentd.delivery import Policy
from agentd.errors import ConfigError
from agentd.models.assembly import llama_model
from agentd.models.library.shelf import Shelf
from agentd.models.llama.settings import EngineSettings
from agentd.models.openai.server import Endpoint
from agentd.ports.generation import Limits, Sampling
from agentd.serving.budget import OTHER, OTHERS, OWNER, Allowance


def test_the_defaults_are_those_of_the_records_that_are_made_of_them() -> None:
    assert Sampling(**SamplingSection().model_dump()) == Sampling()
    assert Limits(**LimitsSection().model_dump()) == Limits()
    assert Policy(**DeliverySection().model_dump(exclude={"dead_retention_days"})) == Policy()
    budgets = BudgetsSection()
    assert Allowance(**budgets.owner.model_dump()) == OWNER
    assert Allowance(**budgets.other.model_dump()) == OTHER
    assert budgets.others_together == OTHERS


def test_every_key_says_what_it_means() -> None:
    for known in known_keys():
        assert known.meaning, known.key
        assert "|" not in known.meaning and not known.meaning.endswith("."), known.key


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AgentSection().concurrency = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", [True, -1, float("inf"), float("nan"), 1e300, "soon", None])
def test_a_time_is_a_finite_number_that_is_not_negative(value: object) -> None:
    with pytest.raises(ValidationError):
        DaemonSection.model_validate({"grace": value})


def test_the_longest_retention_of_dead_letters_is_one_that_a_date_can_hold() -> None:
    assert datetime.now(UTC) - timedelta(days=DeliverySection(dead_retention_days=36_500).dead_retention_days)
    with pytest.raises(ValidationError):
        DeliverySection(dead_retention_days=1e6)


@pytest.mark.parametrize("value", [True, 0, -1, 2.5, "two", None])
def test_a_count_is_a_whole_number_from_one(value: object) -> None:
    with pytest.raises(ValidationError):
        AgentSection.model_validate({"concurrency": value})


def test_an_empty_text_takes_an_optional_key_back_to_none() -> None:
    model = ModelSection.model_validate({"path": "", "threads": "", "sampling": {"seed": ""}})
    assert (model.path, model.threads, model.sampling.seed) == (None, None, None)


def test_who_is_asked_is_named_and_each_only_once() -> None:
    assert ModelSection(order=("extractive", "remote")).order == ("extractive", "remote")
    for order in ((), ("remote", "remote"), ("remote", "cloud")):
        with pytest.raises(ValidationError):
            ModelSection.model_validate({"order": order})


def test_the_keys_of_a_model_server_are_those_of_its_endpoint() -> None:
    given = RemoteSection(base_url="http://127.0.0.1:8080/v1")
    assert Endpoint(**given.model_dump()) == Endpoint(base_url="http://127.0.0.1:8080/v1")
    with pytest.raises(ValidationError, match="http://"):
        RemoteSection(base_url="127.0.0.1:8080")


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://127.0.0.1:99999/v1", "http://h:x/", "http://h:0/", "http://", "http://a b/", "http://a\n"],
)
def test_an_address_has_a_host_and_a_port_that_there_can_be(address: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.remote\.base_url: must .* port"):
        load({"AGENTD_MODEL__REMOTE__BASE_URL": address})


def test_a_key_is_shown_nowhere(tmp_path: Path) -> None:
    settings = load({"AGENTD_MODEL__REMOTE__API_KEY": "sk-secret"})
    assert isinstance(settings.model.remote.api_key, SecretStr)
    assert settings.model.remote.api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(settings) + str(origins(settings))
    file = tmp_path / "config.toml"
    file.write_text("[model.remote]\napi_key = 12345\n")
    with pytest.raises(ConfigError, match=r"config.toml:2: model.remote.api_key: must .*quotes") as raised:
        load({}, config=file)
    assert "12345" not in str(raised.value)


@pytest.mark.parametrize("around", ["\r", "\n", " \r\n", "\u00a0"])
def test_blanks_and_line_ends_around_a_key_are_dropped(around: str) -> None:
    key = RemoteSection.model_validate({"api_key": f"{around}sk-4711{around}"}).api_key
    assert isinstance(key, SecretStr) and key.get_secret_value() == "sk-4711"
    assert RemoteSection.model_validate({"api_key": around}).api_key is None


@pytest.mark.parametrize("inside", ["\u200b", "é", "\x00", "\udc80"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_told(inside: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({"AGENTD_MODEL__REMOTE__API_KEY": f"sk-SEC{inside}RET"})
    told = "AGENTD_MODEL__REMOTE__API_KEY: model.remote.api_key: has a character at place "
    assert str(raised.value).startswith(told)
    assert "SEC" not in str(raised.value) and "RET" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://bob:PASSW0RD@127.0.0.1:1/v1",
        "http://bob:PASS/PASSW0RD@127.0.0.1:1/v1",
        "http://PASSW0RD@127.0.0.1/v1",
        "http://127.0.0.1:1/v1?api-key=PASSW0RD",
        "http://127.0.0.1:1/v1?x=1&token=PASSW0RD",
        "http://127.0.0.1:1/sk-PASSW0RD/v1",
        "ftp://bob:PASSW0RD@127.0.0.1:1/v1",
    ],
)
def test_an_address_holds_no_secret(address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({"AGENTD_MODEL__REMOTE__BASE_URL": address})
    assert str(raised.value).startswith("AGENTD_MODEL__REMOTE__BASE_URL: model.remote.base_url: must ")
    assert "PASSW0RD" not in str(raised.value)


def test_an_address_may_have_a_query_that_is_no_secret() -> None:
    address = "https://models.test/v1?api-version=2026-01-01"
    assert RemoteSection(base_url=address).base_url == address


def test_a_key_in_place_of_a_models_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.remote\.name: looks like a key;") as raised:
        load({"AGENTD_MODEL__REMOTE__NAME": "sk-SECRET"})
    assert "SECRET" not in str(raised.value)


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_age \(10\) .* max_age \(5\)"):
        DeliverySection(min_age=10, max_age=5)
    with pytest.raises(ValidationError, match=r"backoff_base .* backoff_cap"):
        DeliverySection(backoff_base=10, backoff_cap=5)
    with pytest.raises(ValidationError, match="no room"):
        ModelSection(context=512, sampling=SamplingSection(max_tokens=512))


def test_the_settings_of_the_engine_are_keys_of_the_configuration(tmp_path: Path) -> None:
    made = llama_model(tmp_path / "m.gguf", ModelSection(), Shelf(tmp_path))
    assert made.name == "m"
    defaults = asdict(EngineSettings())
    assert defaults == {name: getattr(ModelSection(), name) for name in defaults}
    for wrong in ({"gpu_layers": -1}, {"sequences": 0}, {"sequences": 65}, {"spill_bytes": -1}, {"guess": 2}):
        with pytest.raises(ValidationError):
            ModelSection.model_validate(wrong)
