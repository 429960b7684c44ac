"""What is wrong in settings, as sentences that begin with the place and name the key, and never tell a secret."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentd.config.layers import OPEN_SECTION, Key, Keys, dotted, hint, variable
from agentd.errors import ConfigError
from agentd.host.secrets import masked

LONGEST_QUOTE = 24
"""Characters of a wrong value that its problem quotes; a longer one may be a secret that was put into this place."""


def explained(error: ValidationError, above: Key, origins: Mapping[Key, str], keys: Keys) -> list[str]:
    """What pydantic found below `above`."""
    return [
        _sentence(found, (*above, *map(str, found["loc"])), origins, keys)
        for found in error.errors(include_url=False, include_context=False)
    ]


def _sentence(found: ErrorDetails, key: Key, origins: Mapping[Key, str], keys: Keys) -> str:
    origin = origin_of(key[:-1] if found["type"] == "missing" else key, origins)
    if found["type"] == "extra_forbidden":
        return f"{origin}unknown key {dotted(key)}{hint(keys.nearest(key))}"
    what = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if found["type"] == "missing":
        what = "is required"
    elif not what.startswith("should"):
        return f"{origin}{dotted(key)}: {what}."
    return f"{origin}{dotted(key)} {what}{_quoted(key, found['input'])}."


def _quoted(key: Key, value: object) -> str:
    """What stands there instead; nothing of what may be a secret, and in a channel's table that is everything."""
    if key[0] == OPEN_SECTION or not isinstance(value, str | int | float | None):
        return ""
    text = masked(repr(value))
    return f", not {text}" if len(text) <= LONGEST_QUOTE else ""


def origin_of(key: Key, origins: Mapping[Key, str]) -> str:
    """Where a key was given, or the section that holds it, or else the first key in it, as the start of a sentence."""
    for n in range(len(key), 0, -1):
        if key[:n] in origins:
            return f"{origins[key[:n]]}: "
    inside = [origin for other, origin in origins.items() if other[: len(key)] == key]
    return f"{inside[0]}: " if inside else ""


def said_aloud(key: Key, *, keeps: bool) -> str:
    """What is wrong with a secret in an option; `keeps` says that the key can name a place instead."""
    name = dotted(key)
    instead = f', or say where it is kept: --set \'{name}={{"file": "/a/path"}}\'' if keeps else ""
    return (
        f"--set {name}: this is a secret, and everybody on this machine can read the command line; set it in the"
        f" environment ({variable(key)}) or in the configuration file{instead}."
    )


def read_by_others(file: Path) -> str:
    """What is wrong with the file of a secret if everybody on the machine can read it, else ""."""
    try:
        found = file.stat()
    except OSError:
        return ""
    if not found.st_mode & stat.S_IROTH:
        return ""
    ours = found.st_uid == os.geteuid()
    advice = (
        f"`chmod 600 {shlex.quote(str(file))}`" if ours else "move it to a place of its own (docs/configuration.md)"
    )
    return f"everybody on this machine can read {file}, which contains a secret; {advice}."


def config_error(problems: Iterable[str]) -> ConfigError:
    """One error that tells all of them."""
    lines = list(problems)
    if len(lines) == 1:
        return ConfigError(lines[0])
    return ConfigError("\n  ".join([f"{len(lines)} settings are wrong:", *lines]))
