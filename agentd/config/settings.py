"""One tree of settings: `load` reads it from options, environment, TOML file and defaults, in this order.

Every key has a default, so an empty configuration is a whole one. All problems are told at once, each with the place
that it came from. A channel's own settings lie under `[channels.NAME]`; see `tables`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo

from agentd.config.declared import Secrets, declares
from agentd.config.kept import Kept, kept, read
from agentd.config.layers import (
    OPEN_SECTION,
    Given,
    Key,
    Keys,
    Layer,
    dotted,
    merged,
    read_environment,
    read_file,
    read_overrides,
)
from agentd.config.problems import config_error, explained, origin_of, read_by_others, said_aloud
from agentd.config.sections import (
    AgentSection,
    BudgetsSection,
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
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable with which systemd names the directory of a service's credentials."""


class Settings(BaseModel):
    """The whole tree. Made directly it holds its arguments and the defaults; only `load` reads anything else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    daemon: DaemonSection = DaemonSection()
    agent: AgentSection = AgentSection()
    model: ModelSection = ModelSection()
    retrieval: RetrievalSection = RetrievalSection()
    delivery: DeliverySection = DeliverySection()
    pending: PendingSection = PendingSection()
    budgets: BudgetsSection = BudgetsSection()
    channels: dict[str, dict[str, JsonValue]] = Field({}, description="settings of each channel, by its name")

    _origins: dict[Key, str] = PrivateAttr(default_factory=dict)
    _credentials: str | None = PrivateAttr(default=None)
    _warning: str = PrivateAttr(default="")

    @property
    def given(self) -> Mapping[Key, str]:
        """Where each key was given; those that nobody gave are not in it."""
        return self._origins

    @property
    def credentials(self) -> str | None:
        """The directory of the credentials that systemd hands to this process."""
        return self._credentials

    @property
    def warning(self) -> str:
        """What people should know of the configuration file, "" if nothing is wrong with it."""
        return self._warning


def load(
    environ: Mapping[str, str],
    *,
    config: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    channels: Callable[[Settings], Sequence[str]] = lambda settings: (),
) -> Settings:
    """The settings of `overrides` (dotted key -> text), then `environ`, then the file `config`, then the defaults.

    A relative path in the file begins at the file's directory, any other one at the working directory.
    `ConfigError` names every problem: the key, where it was given, and the nearest right key for an unknown one. If
    there is any, `channels` adds those of the channels' tables, which alone are in the settings that it gets.
    """
    keys = Keys([known.key for known in known_keys()])
    layers = [read_overrides(overrides or {}, keys), read_environment(environ, keys)]
    bases = [_working_directory, _working_directory]
    if config is not None:
        layers.append(read_file(config, keys))
        bases.append(lambda: config.absolute().parent)
    problems = [problem for layer in reversed(layers) for problem in layer.problems]
    warning = read_by_others(config) if config is not None and _holds_secret(layers[-1]) else ""
    _cover(layers)
    found = {key: given.origin for key, given in merged(layers).items()}
    try:
        settings = Settings.model_validate(reduce(_over, map(_tree, layers, bases)))
    except ValidationError as error:
        problems += explained(error, (), found, keys)
        settings = _channels_alone(layers)
    settings._origins.update(found)
    settings._credentials = environ.get(CREDENTIALS) or None
    settings._warning = warning
    problems += _said_aloud(layers[0])
    if problems:
        raise config_error([*problems, *channels(settings)])
    return settings


def _tree(layer: Layer, base: Callable[[], Path]) -> dict[str, Any]:
    """What one place gives; a relative path in it begins at `base`."""
    tree: dict[str, Any] = {}
    for given in layer.given:
        node = tree
        for name in given.key[:-1]:
            if not isinstance(node.get(name), dict):
                node[name] = {}
            node = node[name]
        value = given.value
        if given.key == ("model", "path") and isinstance(value, str) and value:
            path = Path(os.path.expanduser(value))
            value = path if path.is_absolute() else base() / path
        node[given.key[-1]] = value
    return tree


def _over(upper: Any, lower: Any) -> Any:
    """One tree over another one: tables are mixed, of everything else the upper one holds."""
    if not isinstance(upper, dict) or not isinstance(lower, dict):
        return upper
    return lower | {name: _over(value, lower[name]) if name in lower else value for name, value in upper.items()}


def _cover(layers: Sequence[Layer]) -> None:
    """A place of a secret replaces what lower layers say of it; it is not mixed with theirs, as other tables are."""
    for n, layer in enumerate(layers):
        for key in [given.key for given in layer.given if _is_kept(given.value)]:
            for lower in layers[n + 1 :]:
                lower.given = [given for given in lower.given if given.key[: len(key)] != key]


def _is_kept(value: object) -> bool:
    try:
        return kept(value) is not None
    except ValueError:
        return True


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError(
            "model.path is relative to the working directory, which was deleted; set the whole path."
        ) from None


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


def _said_aloud(options: Layer) -> list[str]:
    """The secrets among the options; those that only a channel declares are found with its table."""
    secrets = _secret_keys()
    return [said_aloud(given.key, keeps=given.key in secrets) for given in options.given if _is_secret(given, secrets)]


def _holds_secret(file: Layer) -> bool:
    """Whether a secret stands in the file itself; the place of a secret is not secret itself."""
    secrets = _secret_keys()
    return any(_is_secret(given, secrets) and not _is_kept({given.key[-1]: given.value}) for given in file.given)


def _secret_keys() -> frozenset[Key]:
    return frozenset(known.key for known in known_keys() if known.secret)


def _is_secret(given: Given, secrets: Collection[Key]) -> bool:
    value: Any = given.value
    if given.key[0] == OPEN_SECTION:
        return not _is_kept(value) and Secrets(None).visible(given.key[2:], value) != value
    return given.key in secrets and isinstance(value, str) and value != ""


def with_secrets(settings: Settings) -> Settings:
    """With what is kept elsewhere, but for the channels; `ConfigError` tells what cannot be read."""
    problems: list[str] = []
    for known in known_keys():
        where = value_at(settings, known.key)
        if isinstance(where, Kept):
            try:
                settings = _replaced(settings, known.key, read(where, settings.credentials))
            except ValueError as error:
                problems.append(f"{origin_of(known.key, settings.given)}{dotted(known.key)}: {error}.")
    if problems:
        raise config_error(problems)
    return settings


def value_at(settings: Settings, key: Key) -> object:
    """What a key of the tree is set to."""
    value: object = settings
    for name in key:
        value = getattr(value, name)
    return value


def _replaced(node: Any, key: Key, value: object) -> Any:
    name, *rest = key
    return node.model_copy(update={name: _replaced(getattr(node, name), tuple(rest), value) if rest else value})


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownKey:
    """A key as its section declares it; `unit` is "" for what is not counted or measured."""

    key: Key
    default: Any
    unit: str
    meaning: str
    secret: bool


def known_keys() -> list[KnownKey]:
    """Every key of the tree but the channels' own, in the order of the tree."""
    return list(_keys_of(Settings.model_fields, ()))


def _keys_of(fields: Mapping[str, FieldInfo], above: Key) -> Iterator[KnownKey]:
    for name, info in fields.items():
        if isinstance(info.default, Section):
            yield from _keys_of(type(info.default).model_fields, (*above, name))
        elif isinstance(info.json_schema_extra, dict):
            unit = str(info.json_schema_extra["unit"])
            yield KnownKey(
                key=(*above, name),
                default=info.default,
                unit=unit,
                meaning=info.description or "",
                secret=declares(info.annotation, ()),
            )
