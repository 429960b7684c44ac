"""Builds the models that the settings and the shelf name, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from agentd.config.sections import ModelSection
from agentd.errors import ConfigError
from agentd.models.choice import ChosenModel, State, Tell
from agentd.models.failover import LOCAL, FailoverModel
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.ports.models import ChatModel


def assemble(options: ModelSection, shelf: Shelf, extractive: ChatModel, tell: Tell) -> FailoverModel:
    """The models in the order of the settings. If a local model is set or chosen, it begins to load.

    A path in the settings comes before the choice on the shelf. `ConfigError` if the order names nothing that can
    exist.
    """
    local = chosen_model(options, shelf, tell)
    models: dict[str, ChatModel] = {}
    for role in options.order:
        match role:
            case "remote" if options.remote.base_url is not None:
                models[role] = remote_model(options)
            case "local":
                models[role] = local
            case "extractive":
                models[role] = extractive
    if not models:
        raise ConfigError("model.order names only `remote`, but model.remote.base_url is not set; set it.")
    model = FailoverModel(models, local, tell)
    path = shelf.answering(options.path)
    if path is not None and LOCAL in models:
        model.begin(path)
    return model


def only(model: ChatModel, options: ModelSection, shelf: Shelf, tell: Tell) -> FailoverModel:
    """Until a file is chosen, this model answers, whatever the settings say."""
    return FailoverModel({"only": model}, chosen_model(options, shelf, tell), tell)


def chosen_model(options: ModelSection, shelf: Shelf, tell: Tell) -> ChosenModel:
    """The local model, if no file is chosen for it yet."""

    def build(path: Path, on_state: Callable[[State, str], None]) -> ChatModel:
        return llama_model(path, options, shelf, on_state)

    return ChosenModel(None, build, tell)


def llama_model(
    path: Path,
    options: ModelSection,
    shelf: Shelf | None,
    on_state: Callable[[State, str], None] | None = None,
    *,
    way: str = "",
) -> LlamaModel:
    """The model in this file as the settings say. What is found out about it is kept on the shelf, if there is one.

    See `LlamaModel` for `on_state`, and `ModelFile` for `way`.
    """
    file = ModelFile(path=path, checks=shelf.directory / checks.NAME if shelf is not None else None, way=way)
    settings = EngineSettings(**{field.name: getattr(options, field.name) for field in fields(EngineSettings)})
    return LlamaModel(file, settings, tools=options.tools, on_state=on_state)


def remote_model(options: ModelSection) -> ChatModel:
    """The client takes a while to import, so it is imported only if a server is configured."""
    from agentd.models.openai.model import OpenAIModel
    from agentd.models.openai.server import Endpoint

    return OpenAIModel(Endpoint(**options.remote.model_dump(), tools=options.tools != "off"))
