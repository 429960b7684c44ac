"""Which settings are secret: what is declared as `SecretStr`, and of a channel that declares nothing what looks so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import AliasChoices, BaseModel, JsonValue, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from agentd.host.secrets import MASK, is_secret_name, looks_random, masked

_SECRETS = (SecretStr, SecretBytes, Secret)
_TABLES = (dict, Mapping)

Path = Sequence[str]
"""The names that lead to a value; places in lists do not count."""


def declares(annotation: object, path: Path) -> bool:
    """Whether a type says that what lies at this path in it is secret."""
    annotation = getattr(annotation, "__value__", annotation)
    origin = get_origin(annotation)
    named = annotation if isinstance(annotation, type) else origin
    if isinstance(named, type) and issubclass(named, _SECRETS):
        return True
    if (fields := _fields(annotation, path)) is not None:
        return any(declares(field, rest) for field, rest in fields)
    inner = path[1:] if isinstance(origin, type) and issubclass(origin, _TABLES) else path
    return any(declares(argument, inner) for argument in get_args(annotation))


def _fields(annotation: object, path: Path) -> list[tuple[object, Path]] | None:
    """The types of the field of this name, each with the rest of the path; None for what has no fields."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, RootModel):
        return [(annotation.model_fields["root"].annotation, path)]
    if issubclass(annotation, BaseModel):
        found = [info for name, info in annotation.model_fields.items() if path and path[0] in _names(name, info)]
        return [(info.annotation, path[1:]) for info in found]
    if dataclasses.is_dataclass(annotation) or is_typeddict(annotation):
        hints: dict[str, Any] = get_type_hints(annotation)
        return [(hints[path[0]], path[1:])] if path and path[0] in hints else []
    return None


def _names(name: str, info: FieldInfo) -> Iterator[str]:
    yield name
    for alias in (info.alias, info.validation_alias):
        match alias:
            case str():
                yield alias
            case AliasChoices():
                yield from (choice for choice in alias.choices if isinstance(choice, str))


class Secrets:
    """Which values of a channel's table are secret, as its `model` declares; one without a model declares nothing.

    Of one that is not `known`, because its module cannot be imported, every text is shown as if it were secret.
    """

    def __init__(self, model: type[BaseModel] | None, *, known: bool = True) -> None:
        self._model = model
        self._known = known

    @property
    def declared(self) -> bool:
        """Whether the channel says which; else a table that only looks like a place may be a table of its own."""
        return self._model is not None

    def has(self, path: Path) -> bool:
        """Whether a value is a secret: as it is declared, else by what it is called."""
        return declares(self._model, path) if self.declared else any(map(is_secret_name, path))

    def visible(self, path: Path, value: JsonValue) -> JsonValue:
        """A value as people may see it; what is called like a secret is masked, whatever is declared."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return {name: self.visible((*path, name), item) for name, item in value.items()}
        if self.has(path) or any(map(is_secret_name, path)):
            return MASK
        if isinstance(value, list):
            return [self.visible(path, item) for item in value]
        if not isinstance(value, str):
            return value
        hidden = not self._known or (not self.declared and looks_random(value))
        return MASK if hidden else masked(value)
