"""Settings as they were given, key by key, each with the place that it came from: TOML file, environment, options.

A key is a path of names, `("daemon", "grace")` for `daemon.grace`. Nothing is validated here but the names; every
problem is a sentence that names the place, so that all of them can be told at once.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import select
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Key = tuple[str, ...]

PREFIX = "AGENTD_"
PATH_VARIABLES = ("AGENTD_STATE_DIR", "AGENTD_SOCKET", "AGENTD_CONFIG")
"""Variables that say where things are; they are read by `agentd.host.paths` and are no keys."""
MAX_FILE_BYTES = 1024 * 1024
PIPE_SECONDS = 5.0
OPTION = "--set "
"""How the origin of an option begins."""
OPEN_SECTION = "channels"
"""`channels.NAME.KEY`: any name and any key, for the channel of that name to validate."""


def dotted(key: Key) -> str:
    return ".".join(key)


def variable(key: Key) -> str:
    """The environment variable of a key."""
    return PREFIX + "__".join(key).upper()


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One value as it was given; `origin` is `FILE:LINE`, the name of a variable, or the option."""

    key: Key
    value: object
    origin: str


@dataclass(kw_only=True, slots=True)
class Layer:
    """What one place gives, and what is wrong with it."""

    given: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Keys:
    """The keys that exist."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = frozenset(keys)
        self._sections = frozenset(key[:n] for key in keys for n in range(1, len(key))) | {(OPEN_SECTION,)}

    def is_key(self, key: Key) -> bool:
        return key in self._keys or (key[0] == OPEN_SECTION and len(key) > 2)

    def is_section(self, key: Key) -> bool:
        return key in self._sections or (key[0] == OPEN_SECTION and len(key) == 2)

    def nearest(self, key: Key) -> str | None:
        """The name of the key or section that was probably meant."""
        named = {dotted(known): known for known in self._keys | self._sections}
        if close := difflib.get_close_matches(dotted(key), named, n=1, cutoff=0.75):
            return close[0]
        same_end = {known[-1]: name for name, known in sorted(named.items(), reverse=True)}
        close = difflib.get_close_matches(key[-1], same_end, n=1, cutoff=0.75)
        return same_end[close[0]] if close else None

    def nearest_variable(self, name: str) -> str | None:
        names = [*map(variable, self._keys), *PATH_VARIABLES]
        return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.75)), None)


def hint(nearest: str | None) -> str:
    """The end of a sentence about an unknown name."""
    return f"; did you mean {nearest}?" if nearest else "; `agentd config show` lists every key."


def read_file(path: Path, keys: Keys) -> Layer:
    """A TOML file (UTF-8, at most 1 MiB), or a pipe."""
    try:
        data = _read(path, MAX_FILE_BYTES + 1)
    except TimeoutError:
        return Layer(problems=[f"{path}: the configuration file is a pipe, and nobody writes to it; name a file."])
    except OSError as error:
        return Layer(problems=[f"{path}: the configuration file cannot be read: {error.strerror}."])
    if len(data) > MAX_FILE_BYTES:
        return Layer(problems=[f"{path}: the configuration file is larger than 1 MiB; is it the right file?"])
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Layer(problems=[f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8."])
    except tomllib.TOMLDecodeError as error:
        return Layer(problems=[_syntax(path, text, str(error))])
    except RecursionError:
        return Layer(problems=[f"{path}: the values are nested too deeply."])
    except ValueError:  # from Python itself, which limits the digits of a number
        return Layer(problems=[f"{path}: a number has too many digits."])
    lines = key_lines(text)
    layer = Layer()
    for key, value in _walk(table, (), keys):
        named = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        _put(layer, keys, key, value, f"{path}:{named}" if named else str(path))
    return layer


def _read(path: Path, most: int) -> bytes:
    """At most so many bytes; `TimeoutError` for a pipe that gives nothing for `PIPE_SECONDS`."""
    data = b""
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        ready = select.poll()
        ready.register(file, select.POLLIN)
        while len(data) < most:
            if not ready.poll(PIPE_SECONDS * 1000):
                raise TimeoutError
            if not (piece := file.read(most - len(data))):
                break
            data += piece
    return data


def read_environment(environ: Mapping[str, str], keys: Keys) -> Layer:
    """Variables `AGENTD_SECTION__KEY`; any other one that begins with `AGENTD_` is a problem."""
    layer = Layer()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in PATH_VARIABLES:
            continue
        key = tuple(name[len(PREFIX) :].lower().split("__"))
        if name == variable(key) and all(key) and keys.is_key(key):
            layer.given.append(Given(key=key, value=_from_text(environ[name]), origin=name))
        else:
            layer.problems.append(f"{name}: unknown variable{hint(keys.nearest_variable(name))}")
    return layer


def read_overrides(overrides: Mapping[str, str], keys: Keys) -> Layer:
    """`--set KEY=VALUE` options, by key."""
    layer = Layer()
    for name, text in overrides.items():
        _put(layer, keys, tuple(name.split(".")), _from_text(text), f"{OPTION}{name}")
    return layer


def merged(layers: Sequence[Layer]) -> dict[Key, Given]:
    """What holds of each key; the first layer that gives it wins."""
    return {given.key: given for layer in reversed(layers) for given in layer.given}


def key_lines(text: str) -> dict[Key, int]:
    """The line, from 1, on which a TOML text first names a key or table."""
    lines: dict[Key, int] = {}
    table: Key = ()
    quotes = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if quotes:
            quotes = "" if line.count(quotes) % 2 else quotes
            continue
        if match := _TABLE.match(line):
            table = _parsed(match[1])
            lines.setdefault(table, number)
        elif match := _ASSIGNMENT.match(line):
            lines.setdefault(table + _parsed(match[1]), number)
        quotes = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return lines


_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAMES = rf"({_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)"
_TABLE = re.compile(rf"[ \t]*\[\[?[ \t]*{_NAMES}[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*{_NAMES}[ \t]*=")


def _parsed(names: str) -> Key:
    """The path that TOML reads in `a."b".c`."""
    try:
        table: object = tomllib.loads(f"{names} = 0")
    except tomllib.TOMLDecodeError:  # a line of a text that only looks like an assignment
        return (names,)
    path: list[str] = []
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        path.append(name)
    return tuple(path)


def _walk(table: Mapping[str, object], above: Key, keys: Keys) -> Iterator[tuple[Key, object]]:
    """Values by key; a table is walked further if it is a section or part of a channel's settings."""
    for name, value in table.items():
        key = (*above, name)
        inside = keys.is_section(key) or (key[0] == OPEN_SECTION and len(key) > 2)
        if isinstance(value, dict) and inside and (value or len(key) == 1):
            yield from _walk(value, key, keys)
        else:
            yield key, value


def _put(layer: Layer, keys: Keys, key: Key, value: object, origin: str) -> None:
    if keys.is_key(key) and all(key):
        layer.given.append(Given(key=key, value=value, origin=origin))
    elif keys.is_section(key) and all(key):
        if value == {}:
            if len(key) == 2 and key[0] == OPEN_SECTION:
                layer.given.append(Given(key=key, value=value, origin=origin))
        else:
            layer.problems.append(f"{origin}: {dotted(key)} is a section, not a value; set a key in it.")
    else:
        kind = "section" if isinstance(value, dict) else "key"
        layer.problems.append(f"{origin}: unknown {kind} {dotted(key)}{hint(keys.nearest(key))}")


def _from_text(text: str) -> object:
    """A list or table may be given as JSON; everything else stays the text that it is, for the type to read."""
    if text[:1] in ("[", "{"):
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return value
    return text


def _syntax(path: Path, text: str, message: str) -> str:
    """tomllib says the place in words at the end of its message; editors want FILE:LINE:COLUMN."""
    if match := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message):
        return f"{path}:{match[2]}:{match[3]}: not TOML: {match[1]}."
    last = text.rstrip("\n").split("\n")
    what = message.removesuffix(" (at end of document)")
    return f"{path}:{len(last)}:{len(last[-1]) + 1}: not TOML: {what} at the end of the file."
