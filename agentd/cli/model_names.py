"""The models on this machine by the names that `agentd model list` shows, even those chosen by their path."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from agentd.config import Settings
from agentd.errors import NotFound, UsageError
from agentd.host.paths import absolute
from agentd.models.library.catalogue import catalogue
from agentd.models.library.shelf import Shelf
from agentd.models.library.sources import SUFFIX, is_hub_file


def by_name(shelf: Shelf, settings: Settings) -> dict[str, Path]:
    """The models on the shelf and every file that was ever chosen, wherever it is and even if it is gone.

    Such a file has a name without its folder, too, unless a model of the list has that name.
    """
    files = {model.name: model.path for model in shelf.models()}
    known = (shelf.answering(settings.model.path), shelf.chosen(), *shelf.earlier())
    for path in known:
        if path is not None and path not in files.values():
            taken = {*files, *(listed.name for listed in catalogue() if path.parent != shelf.directory)}
            files[str(path) if path.stem in taken else path.stem] = path
    return files


def path_of(shelf: Shelf, settings: Settings, model: str) -> Path:
    """The file of a name or a path; `NotFound` suggests what was probably meant."""
    none = f"there is no model {model!r} on this machine"
    if "/" in model or model.endswith(SUFFIX) or model.startswith("~"):
        path = absolute(Path(model))
        if is_hub_file(model) and not path.exists():
            raise NotFound(f"{none}; `agentd model pull {model}` gets it, if the hub has it.")
        return path
    if (named := by_name(shelf, settings).get(model)) is not None:
        return named
    if Path(model).is_file():
        raise NotFound(f"{none}; did you mean the file ./{model}?")
    here, others = list(by_name(shelf, settings)), [listed.name for listed in catalogue()]
    if model in others or (near := nearest(model, [*here, *others])) is None:
        return shelf.find(model).path
    hint = "" if near in here else f" `agentd model pull {near}` gets it."
    raise NotFound(f"{none}; did you mean {near}?{hint}")


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant: the same in another case, one that contains it, or a similar one."""
    wanted = name.lower()
    within = [other for other in names if wanted in other.lower()]
    if within:
        return min(within, key=lambda other: (not other.lower().startswith(wanted), len(other)))
    folded = {other.lower(): other for other in reversed(names)}
    close = difflib.get_close_matches(wanted, folded, n=1)
    return folded[close[0]] if close else None


def chosen_name(shelf: Shelf, settings: Settings, *, action: str) -> str:
    """The name of the chosen model; `UsageError` if none is chosen."""
    chosen = shelf.answering(settings.model.path)
    for name, path in by_name(shelf, settings).items():
        if path == chosen:
            return name
    raise UsageError(f"no model is chosen; name one: `agentd model {action} NAME`.")
