"""Every key with its value and where that comes from, as people may see it: secrets are masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from agentd.config.declared import Secrets
from agentd.config.kept import Kept
from agentd.config.layers import OPEN_SECTION, Key, dotted
from agentd.config.settings import DEFAULT, Settings, known_keys, value_at
from agentd.config.tables import BUILD, ENABLED
from agentd.host.secrets import masked


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A key, its value, or a mask if that may be a secret, and where it came from."""

    key: str
    value: JsonValue
    origin: str


def origins(settings: Settings, models: Mapping[str, type[BaseModel] | None] | None = None) -> list[Shown]:
    """Every key of the tree, in its order, and of the channels' tables.

    `models` is what each channel declares, and None if it declares nothing; a channel that is not in it is one whose
    module cannot be imported. Without it, what a secret is called and looks like has to do.
    """
    shown = [(known.key, _visible(value_at(settings, known.key))) for known in known_keys()]
    for name, table in settings.channels.items():
        model = None if models is None else models.get(name)
        secrets = Secrets(model, known=models is None or name in models)
        shown += [(key, _of_channel(secrets, key, value)) for key, value in _flat((OPEN_SECTION, name), table)]
    return [Shown(key=dotted(key), value=value, origin=settings.given.get(key, DEFAULT)) for key, value in shown]


def _flat(key: Key, value: JsonValue) -> Iterator[tuple[Key, JsonValue]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat((*key, name), inner)
    else:
        yield key, value


def _of_channel(secrets: Secrets, key: Key, value: JsonValue) -> JsonValue:
    return value if key[2:] in ((BUILD,), (ENABLED,)) else secrets.visible(key[2:], value)


def _visible(value: object) -> JsonValue:
    """A secret is a text of asterisks already."""
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_visible(item) for item in value]
        case Kept():
            return {"file": str(value.file)} if value.file is not None else {"credential": value.credential}
        case _:
            return masked(str(value))
