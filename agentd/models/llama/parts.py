"""Models in several files: NAME-00001-of-00003.gguf and so on, as llama.cpp splits and finds them (gguf-split)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from agentd.errors import ModelError

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def is_later(name: str) -> bool:
    """Whether a file with this name is a part other than the first."""
    part = _PART.fullmatch(name)
    return part is not None and int(part["number"]) > 1


def all_parts(path: Path) -> Sequence[Path]:
    """The files of the model that begins in `path`, in order, whether they exist or not."""
    part = _PART.fullmatch(path.name)
    if part is None:
        return (path,)
    return tuple(path.with_name(_name(part, number)) for number in range(1, int(part["count"]) + 1))


def there(path: Path) -> Sequence[Path]:
    """The parts that exist."""
    return tuple(part for part in all_parts(path) if part.is_file())


def others(path: Path, *, number: int, count: int) -> Sequence[Path]:
    """The parts after the first, which is `path`; its header gives its `number` (from 0) and the `count` of all parts.

    `ModelError` if it is not the first part, if llama.cpp would not find the others, or if one is missing.
    """
    part = _PART.fullmatch(path.name)
    if number > 0 or is_later(path.name):
        first = _name(part, 1) if part else "the file whose name ends in -00001-of-" + f"{count:05}.gguf"
        raise ModelError(
            f"{path} is part {number + 1} of a model in {count} parts; give the path of the first: {first}."
        )
    if part is None or int(part["count"]) != count:
        raise ModelError(
            f"{path} is the first of {count} parts of a model, but its name does not say so; give it back its"
            f" original name, which ends in -00001-of-{count:05}.gguf."
        )
    found = [path.with_name(_name(part, other)) for other in range(2, count + 1)]
    for other in found:
        if not other.is_file():
            raise ModelError(f"{path} is the first of {count} parts of a model, but {other.name} is missing beside it.")
    return found


def _name(part: re.Match[str], number: int) -> str:
    return f"{part['stem']}-{number:05}-of-{part['count']}.gguf"
