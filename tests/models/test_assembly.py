"""The settings and the shelf decide which models answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.config.sections import ModelSection, RemoteSection
from agentd.errors import ConfigError
from agentd.models.assembly import assemble, llama_model, only, remote_model
from agentd.models.choice import State
from agentd.models.failover import FailoverModel
from agentd.models.library.shelf import Shelf
from agentd.ports.generation import Limits
from agentd.ports.models import Bounded, Citer, ToolUser
from agentd.testing.gguf import write_random_model
from agentd.testing.model import ScriptedModel

REMOTE = RemoteSection(base_url="http://127.0.0.1:9/v1", name="big")


def tell(name: str, state: State, reason: str) -> None:
    """Nobody listens."""


def build(options: ModelSection, tmp_path: Path) -> FailoverModel:
    return assemble(options, Shelf(tmp_path), ScriptedModel(), tell)


async def test_without_any_settings_the_documents_answer(tmp_path: Path) -> None:
    model = build(ModelSection(), tmp_path)
    assert model.name == "scripted"
    await model.close()


async def test_the_order_of_the_settings_holds(tmp_path: Path) -> None:
    for order, name in (
        (("remote", "local", "extractive"), "big"),
        (("extractive", "remote"), "scripted"),
        (("local", "remote"), "big"),
    ):
        model = build(ModelSection(remote=REMOTE, order=order), tmp_path)
        assert model.name == name
        await model.close()


async def test_the_path_of_the_settings_comes_before_the_choice_on_the_shelf(tmp_path: Path) -> None:
    Shelf(tmp_path).choose(Path("/m/chosen.gguf"))
    chosen = build(ModelSection(), tmp_path)
    configured = build(ModelSection(path=Path("/m/configured.gguf")), tmp_path)
    other = build(ModelSection(order=("extractive",)), tmp_path)
    assert (chosen.name, configured.name, other.name) == ("chosen", "configured", "scripted")
    for model in (chosen, configured, other):
        await model.close()


async def test_an_order_that_leaves_nothing_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.remote\.base_url is not set"):
        build(ModelSection(order=("remote",)), tmp_path)


async def test_one_model_can_take_the_place_of_all(tmp_path: Path) -> None:
    model = only(ScriptedModel(), ModelSection(path=Path("/m/x.gguf")), Shelf(tmp_path), tell)
    assert model.name == "scripted"
    await model.close()


async def test_the_local_model_is_loaded_as_the_settings_say(tmp_path: Path) -> None:
    write_random_model(tmp_path / "small.gguf", context=4096)
    for context, known in ((512, 512), (8192, 4096)):
        options = ModelSection.model_validate(
            {"context": context, "threads": 1, "sequences": 64, "spill_bytes": 0, "guess": False, "gpu_layers": 0}
            | {"sampling": {"max_tokens": 100}}
        )
        async with llama_model(tmp_path / "small.gguf", options, Shelf(tmp_path)) as model:
            bounded: Bounded = model
            assert await bounded.context(Limits()) == known


def test_tools_are_offered_to_a_model_on_a_server_unless_the_settings_say_no() -> None:
    for tools, offered in (("auto", True), ("on", True), ("off", False)):
        options = ModelSection.model_validate({"tools": tools, "remote": {"base_url": "http://127.0.0.1:9/v1"}})
        model = remote_model(options)
        assert isinstance(model, ToolUser) and model.tools is offered
        assert isinstance(model, Citer) and model.cites


def test_a_model_in_a_file_is_offered_tools_as_the_settings_say(tmp_path: Path) -> None:
    for tools, offered in (("auto", False), ("on", True), ("off", False)):
        model = llama_model(tmp_path / "small.gguf", ModelSection.model_validate({"tools": tools}), None)
        assert model.tools is offered, "before anything is known of it"
