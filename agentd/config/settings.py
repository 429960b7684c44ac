"""One tree of settings: `load` reads it from options, environment, TOML file and defaults, in this order.

Every key has a default, so an empty configuration is a whole one. All problems are told at once, each with the place
that it came from. A channel's own settings lie under `[channels.NAME]`; `table_problems` says what is wrong there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, JsonValue, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agentd.config.layers import (
    OPEN_SECTION,
    Key,
    Keys,
    Layer,
    dotted,
    hint,
    merged,
    read_environment,
    read_file,
    read_overrides,
)
from agentd.config.sections import (
    AgentSection,
    DaemonSection,
    DeliverySection,
    ModelSection,
    PendingSection,
    RetrievalSection,
    Section,
)
from agentd.errors import ConfigError

DEFAULT = "default"
"""The origin of a value that nobody gave."""
MASK = "********"
BUILD = "build"
"""The key of a channel's table that is not the channel's own: what builds it."""


class Settings(BaseSettings):
    """The whole tree. Made directly it holds its arguments and the defaults; only `load` reads anything else."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    daemon: DaemonSection = DaemonSection()
    agent: AgentSection = AgentSection()
    model: ModelSection = ModelSection()
    retrieval: RetrievalSection = RetrievalSection()
    delivery: DeliverySection = DeliverySection()
    pending: PendingSection = PendingSection()
    channels: dict[str, dict[str, JsonValue]] = Field({}, description="settings of each channel, by its name")

    _origins: dict[Key, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class _Source(PydanticBaseSettingsSource):
    """One layer as a tree, for pydantic-settings to merge; a relative path in it begins at `base`."""

    def __init__(self, layer: Layer, base: Path) -> None:
        super().__init__(Settings)
        self._layer = layer
        self._base = base

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for given in self._layer.given:
            node = tree
            for name in given.key[:-1]:
                if not isinstance(node.get(name), dict):
                    node[name] = {}
                node = node[name]
            value = given.value
            if given.key == ("model", "path") and isinstance(value, str) and value:
                value = self._base / os.path.expanduser(value)
            node[given.key[-1]] = value
        return tree


def load(
    environ: Mapping[str, str],
    *,
    config: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    channels: Callable[[Settings], Sequence[str]] = lambda settings: (),
) -> Settings:
    """The settings of `overrides` (dotted key -> text), then `environ`, then the file `config`, then the defaults.

    A relative path in the file begins at the file's directory, any other one at the working directory.
    `ConfigError` names every problem: the key, where it was given, and the nearest right key for an unknown one. Where
    there is any, `channels` adds those of the channels' tables, which alone are in the settings that it gets.
    """
    keys = Keys([known.key for known in known_keys()])
    layers = [read_overrides(overrides or {}, keys), read_environment(environ, keys)]
    bases = [Path.cwd(), Path.cwd()]
    if config is not None:
        layers.append(read_file(config, keys))
        bases.append(config.absolute().parent)
    problems = [problem for layer in reversed(layers) for problem in layer.problems]
    found = {key: given.origin for key, given in merged(layers).items()}
    try:
        settings = Settings(_build_sources=(tuple(map(_Source, layers, bases)), {}))
    except ValidationError as error:
        problems += _explained(error, (), found, keys)
        settings = _channels_alone(layers)
    settings._origins.update(found)
    if problems:
        raise config_error([*problems, *channels(settings)])
    return settings


def _channels_alone(layers: Sequence[Layer]) -> Settings:
    """The channels' tables as far as they can be read, beside the defaults of everything else."""
    tables: dict[str, Any] = {}
    for key, given in merged(layers).items():
        if key[0] != OPEN_SECTION:
            continue
        node = tables
        for name in key[1:-1]:
            node = node.setdefault(name, {})
        node.setdefault(key[-1], given.value)
    return Settings.model_construct(channels=tables)


def table_problems(settings: Settings, name: str, model: type[BaseModel]) -> list[str]:
    """What `model` finds wrong in the table `[channels.NAME]`, and where; no value is told: it may be a secret."""
    above = (OPEN_SECTION, name)
    table = {key: value for key, value in settings.channels.get(name, {}).items() if key != BUILD}
    try:
        model.model_validate(table)
    except ValidationError as error:
        keys = Keys([(*above, field) for field in model.model_fields])
        return _explained(error, above, settings._origins, keys)
    return []


def unknown_channels(settings: Settings, names: Collection[str]) -> list[str]:
    """A sentence for every channel that is configured and not one of `names`."""
    keys = Keys([(OPEN_SECTION, name, "") for name in names])
    wrong = [(OPEN_SECTION, name) for name in settings.channels if name not in names]
    return [f"{_origin(key, settings._origins)}unknown channel {key[1]}{hint(keys.nearest(key))}" for key in wrong]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownKey:
    """A key as its section declares it; `unit` is "" for what is not counted or measured."""

    key: Key
    default: Any
    unit: str
    meaning: str


def known_keys() -> list[KnownKey]:
    """Every key of the tree but the channels' own, in the order of the tree."""
    return list(_keys_of(Settings.model_fields, ()))


def _keys_of(fields: Mapping[str, FieldInfo], above: Key) -> Iterator[KnownKey]:
    for name, info in fields.items():
        if isinstance(info.default, Section):
            yield from _keys_of(type(info.default).model_fields, (*above, name))
        elif isinstance(info.json_schema_extra, dict):
            unit = str(info.json_schema_extra["unit"])
            yield KnownKey(key=(*above, name), default=info.default, unit=unit, meaning=info.description or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A key as people may see it: its value, or a mask where that looks like a secret, and where it came from."""

    key: str
    value: JsonValue
    origin: str


def origins(settings: Settings) -> list[Shown]:
    """Every key of the tree, in its order, and of the channels' tables."""
    values: list[tuple[Key, object]] = []
    for known in known_keys():
        value: object = settings
        for name in known.key:
            value = getattr(value, name)
        values.append((known.key, value))
    for name, table in settings.channels.items():
        values.extend(_flat((OPEN_SECTION, name), table))
    return [
        Shown(key=dotted(key), value=_visible(key, value), origin=settings._origins.get(key, DEFAULT))
        for key, value in values
    ]


def _flat(key: Key, value: JsonValue) -> Iterator[tuple[Key, JsonValue]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat((*key, name), inner)
    else:
        yield key, value


_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:api)?(?:tokens?|secrets?|pass|passwords?|passphrase|passwd|keys?|credentials?|auth)(?:$|[_-])", re.I
)
_SECRET_TEXT = re.compile(r"\d{6,}:[\w-]{30,}|(?<=://)[^/\s]+(?=@)")
"""A bot's token, and the name and password in an address, whatever the key is called."""


def _visible(key: Key, value: object) -> JsonValue:
    if key[0] == OPEN_SECTION and any(map(_SECRET_NAME.search, key[2:])):
        return MASK
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_visible(key, item) for item in value]
        case dict():
            return {name: _visible((*key, name), item) for name, item in value.items()}
        case _:
            return _SECRET_TEXT.sub(MASK, str(value))


def _explained(error: ValidationError, above: Key, origins: Mapping[Key, str], keys: Keys) -> list[str]:
    """What pydantic found, in sentences that begin with the place and name the key."""
    return [
        _sentence(found, (*above, *map(str, found["loc"])), origins, keys)
        for found in error.errors(include_url=False, include_context=False)
    ]


def _sentence(found: ErrorDetails, key: Key, origins: Mapping[Key, str], keys: Keys) -> str:
    place = _origin(key[:-1] if found["type"] == "missing" else key, origins)
    if found["type"] == "extra_forbidden":
        return f"{place}unknown key {dotted(key)}{hint(keys.nearest(key))}"
    what = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if found["type"] == "missing":
        what = "is required"
    elif not what.startswith("should"):
        return f"{place}{dotted(key)}: {what}."
    if key[0] != OPEN_SECTION:
        what += f", not {found['input']!r:.60}"
    return f"{place}{dotted(key)} {what}."


def _origin(key: Key, origins: Mapping[Key, str]) -> str:
    """Where a key was given, or the section that holds it, or else the first key in it, as the start of a sentence."""
    for n in range(len(key), 0, -1):
        if key[:n] in origins:
            return f"{origins[key[:n]]}: "
    inside = [origin for other, origin in origins.items() if other[: len(key)] == key]
    return f"{inside[0]}: " if inside else ""


def config_error(problems: Iterable[str]) -> ConfigError:
    """One error that tells all of them."""
    lines = list(problems)
    if len(lines) == 1:
        return ConfigError(lines[0])
    return ConfigError("\n  ".join([f"{len(lines)} settings are wrong:", *lines]))
