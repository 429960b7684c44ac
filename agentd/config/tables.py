"""The tables of channels, `[channels.NAME]`: what a channel gets, and what is wrong in its table."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pydantic import BaseModel, JsonValue, ValidationError

from agentd.config.declared import Secrets
from agentd.config.kept import kept, read
from agentd.config.layers import OPEN_SECTION, OPTION, Keys, dotted, hint
from agentd.config.problems import config_error, explained, origin_of, said_aloud
from agentd.config.settings import Settings
from agentd.host.secrets import cleaned, note

BUILD, ENABLED = "build", "enabled"
"""The keys of a channel's table that are not the channel's own: what builds it, and whether it runs at all."""


def channel_table(settings: Settings, name: str, model: type[BaseModel] | None) -> dict[str, JsonValue]:
    """A channel's own settings with their secrets; `ConfigError` tells what is wrong with these.

    `model` is what the channel's module declares, None if it declares nothing.
    """
    opening = _Opening(settings, name, model)
    table = opening.table()
    if opening.problems:
        raise config_error(opening.problems)
    return table


def table_problems(settings: Settings, name: str, model: type[BaseModel] | None) -> list[str]:
    """What is wrong in a channel's table, and where; no value is told: it may be a secret."""
    opening = _Opening(settings, name, model)
    table = opening.table()
    if opening.problems or model is None:
        return opening.problems
    try:
        model.model_validate(table)
    except ValidationError as error:
        above = (OPEN_SECTION, name)
        return explained(error, above, settings.given, Keys([(*above, field) for field in model.model_fields]))
    return []


def unknown_channels(settings: Settings, names: Collection[str]) -> list[str]:
    """A sentence for every channel that is configured and not one of `names`."""
    keys = Keys([(OPEN_SECTION, name, "") for name in names])
    wrong = [(OPEN_SECTION, name) for name in settings.channels if name not in names]
    return [f"{origin_of(key, settings.given)}unknown channel {key[1]}{hint(keys.nearest(key))}" for key in wrong]


class _Opening:
    """Puts the secrets of one channel into its table: cleaned, and read from where they are kept."""

    def __init__(self, settings: Settings, name: str, model: type[BaseModel] | None) -> None:
        self._settings = settings
        self._name = name
        self._secrets = Secrets(model)
        self.problems: list[str] = []

    def table(self) -> dict[str, JsonValue]:
        given = self._settings.channels.get(self._name, {})
        return {key: self._value((key,), value) for key, value in given.items() if key not in (BUILD, ENABLED)}

    def _value(self, path: tuple[str, ...], value: JsonValue) -> JsonValue:
        match value:
            case str() if self._secrets.has(path):
                return self._checked(path, value, lambda: self._spelt(path, value))
            case dict() if self._secrets.declared and self._secrets.has(path):
                return self._checked(path, value, lambda: self._kept(path, value))
            case dict():
                return self._table(path, value)
            case list():
                return [self._value(path, item) for item in value]
        return value

    def _table(self, path: tuple[str, ...], table: dict[str, JsonValue]) -> JsonValue:
        return {name: self._value((*path, name), inner) for name, inner in table.items()}

    def _spelt(self, path: tuple[str, ...], value: str) -> str:
        text = cleaned(value, path[-1])
        note(text)
        return text

    def _kept(self, path: tuple[str, ...], value: dict[str, JsonValue]) -> JsonValue:
        where = kept(value)
        if where is not None:
            return read(where, self._settings.credentials, path[-1]).get_secret_value()
        return self._table(path, value)

    def _checked(self, path: tuple[str, ...], value: JsonValue, opened: Callable[[], JsonValue]) -> JsonValue:
        key = (OPEN_SECTION, self._name, *path)
        origin = origin_of(key, self._settings.given)
        if origin.startswith(OPTION) and isinstance(value, str):
            self.problems.append(said_aloud(key, keeps=self._secrets.declared))
            return value
        try:
            return opened()
        except ValueError as error:
            self.problems.append(f"{origin}{dotted(key)}: {error}.")
            return value
