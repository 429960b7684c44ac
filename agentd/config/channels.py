"""The channels that the settings name: what builds each, what it declares, and what is wrong in the tables of all.

`builders` are import strings by the channel's name. A module names the pydantic model of its channel's table as
`SETTINGS`; without one the channel looks itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from agentd.config.problems import config_error
from agentd.config.settings import Settings
from agentd.config.tables import BUILD, ENABLED, table_problems, unknown_channels
from agentd.errors import ConfigError
from agentd.host.imports import named

_switch = TypeAdapter(bool)


def channel_builders(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    """What builds each channel: our `own`, and those whose table names what builds them."""
    named_there = {name: table.get(BUILD) for name, table in settings.channels.items()}
    return {**own, **{name: build for name, build in named_there.items() if isinstance(build, str)}}


def is_enabled(settings: Settings, name: str) -> bool:
    """Whether a channel runs: unless its table says that it does not."""
    try:
        return _switch.validate_python(settings.channels.get(name, {}).get(ENABLED, True))
    except ValidationError:
        raise ConfigError(f"channels.{name}.{ENABLED} must be true or false.") from None


def channel_builder(name: str, builder: str) -> Callable[[Any], Any]:
    """What builds a channel; `ConfigError` if the string names nothing."""
    try:
        build: Callable[[Any], Any] = named(builder)
    except Exception as error:  # somebody else's module may raise anything
        raise ConfigError(f"channels.{name}.build names {builder!r}, which cannot be imported: {error}.") from None
    return build


def channel_model(name: str, builder: str) -> type[BaseModel] | None:
    """What a channel's module names as `SETTINGS`, if it does; `ConfigError` if the string names nothing."""
    channel_builder(name, builder)
    model: type[BaseModel] | None = getattr(importlib.import_module(builder.partition(":")[0]), "SETTINGS", None)
    return model


def channel_models(settings: Settings, builders: Mapping[str, str]) -> dict[str, type[BaseModel] | None]:
    """What each channel that is configured declares, as far as its module can be imported."""
    models = {}
    for name, builder in builders.items():
        if name in settings.channels:
            with suppress(ConfigError):
                models[name] = channel_model(name, builder)
    return models


def check_channels(settings: Settings, builders: Mapping[str, str], names: Collection[str] | None = None) -> None:
    """`ConfigError` that tells all that `channel_problems` finds."""
    if problems := channel_problems(settings, builders, names):
        raise config_error(problems)


def channel_problems(
    settings: Settings, builders: Mapping[str, str], names: Collection[str] | None = None
) -> list[str]:
    """What is wrong in the channels' tables: unknown channels, and what the modules of these (None: of all) say.

    The table of a channel that does not run is not looked at: its module is not even imported.
    """
    problems = unknown_channels(settings, builders)
    for name in settings.channels:
        if name not in builders or (names is not None and name not in names):
            continue
        try:
            if not is_enabled(settings, name):
                continue
            problems += table_problems(settings, name, channel_model(name, builders[name]))
        except ConfigError as error:
            problems.append(str(error))
    return problems
