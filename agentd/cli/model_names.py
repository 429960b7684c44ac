"""The models on this machine by the names that `agentd model list` shows, also one that was chosen by its path."""

from __future__ import annotations

from pathlib import Path

from agentd.config import Settings
from agentd.errors import NotFound, UsageError
from agentd.models.catalogue import entries
from agentd.models.shelf import Shelf
from agentd.models.sources import SUFFIX, is_hub_file


def by_name(shelf: Shelf, settings: Settings) -> dict[str, Path]:
    """The models on the shelf and the chosen file, wherever that lies and whether it is still there or not.

    The chosen file has a name without its folder, too, unless a model of the list has that name.
    """
    files = {model.name: model.path for model in shelf.models()}
    chosen = shelf.answering(settings.model.path)
    if chosen is not None and chosen not in files.values():
        taken = {*files, *(entry.name for entry in entries())}
        files[str(chosen) if chosen.stem in taken else chosen.stem] = chosen
    return files


def path_of(shelf: Shelf, settings: Settings, model: str) -> Path:
    """The file of a name, or of a path of its own; `NotFound` suggests what was probably meant."""
    none = f"there is no model {model!r} on this machine"
    if "/" in model or model.endswith(SUFFIX) or model.startswith("~"):
        path = Path(model).expanduser().absolute()
        if is_hub_file(model) and not path.exists():
            raise NotFound(f"{none}; `agentd model pull {model}` gets it, if the hub has it.")
        return path
    if (named := by_name(shelf, settings).get(model)) is not None:
        return named
    if Path(model).is_file():
        raise NotFound(f"{none}; did you mean the file ./{model}?")
    return shelf.find(model).path


def chosen_name(shelf: Shelf, settings: Settings, *, action: str) -> str:
    """The name of the chosen model; `UsageError` where none is."""
    chosen = shelf.answering(settings.model.path)
    for name, path in by_name(shelf, settings).items():
        if path == chosen:
            return name
    raise UsageError(f"no model is chosen; name one: `agentd model {action} NAME`.")
