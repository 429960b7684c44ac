"""The directory of models: complete files, a record beside each that says where it came from, and which one is chosen.

NAME.gguf       a model; it appears complete, by a rename; one in several parts is known by the first
NAME.gguf.json  its record: source, revision, sha256
chosen.json     the model that the daemon loads unless its configuration names one, and the ones chosen before
.partial/       unfinished downloads
"""

from __future__ import annotations

import difflib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agentd.errors import NotFound, StateError, UsageError
from agentd.models.library.catalogue import catalogue
from agentd.models.library.sources import SUFFIX, check_name
from agentd.models.llama import parts

log = logging.getLogger(__name__)

DIRECTORY = "models"
"""Of the state directory."""
CHOSEN = "chosen.json"
PARTIAL = ".partial"
VERSION = 1
MOST_EARLIER = 50
"""How many files that were chosen before are remembered."""


class Record(BaseModel):
    """What was pulled: `size` in bytes; `revision` is the hub's commit, "" if the file comes from elsewhere."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = VERSION
    source: str
    revision: str = ""
    sha256: str
    size: int
    licence: str = ""
    pulled: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelved:
    """A model on the shelf; a model without a record was put there by hand."""

    name: str
    path: Path
    size: int
    record: Record | None


def size_of(path: Path) -> int:
    """Bytes of a model in all of its parts that exist."""
    return sum(part.stat().st_size for part in parts.there(path))


class Shelf:
    """The directory is made when something is put there. Nothing here uses the network."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / DIRECTORY

    @property
    def partial(self) -> Path:
        return self.directory / PARTIAL

    def models(self) -> list[Shelved]:
        """All of them, by name. This, `get` and `find` raise `StateError` if the directory cannot be read."""
        with _named_errors(self.directory, "read"):
            try:
                names = sorted(name for name in os.listdir(self.directory) if name.endswith(SUFFIX))
            except FileNotFoundError:
                return []
            whole = (self.directory / name for name in names if not parts.is_later(name))
            return [self._shelved(path) for path in whole if path.is_file()]

    def get(self, name: str) -> Shelved | None:
        path = self._path(check_name(name))
        with _named_errors(self.directory, "read"):
            return self._shelved(path) if path.is_file() else None

    def find(self, name: str) -> Shelved:
        """`NotFound` suggests the nearest name, or how to get a model of the catalogue."""
        if (found := self.get(name)) is not None:
            return found
        if any(name == listed.name for listed in catalogue()):
            hint = f"`agentd model pull {name}` gets it."
        else:
            close = difflib.get_close_matches(name, [model.name for model in self.models()], n=1)
            hint = f"did you mean {close[0]}?" if close else "`agentd model list` shows the names."
        raise NotFound(f"there is no model {name!r} on this machine; {hint}")

    def put(self, whole: Path, name: str, record: Record) -> Path:
        """Move a complete file onto the shelf, where it replaces an earlier one, and record it."""
        path = self._path(check_name(name))
        with _named_errors(self.directory, "written"):
            self._record_path(path).unlink(missing_ok=True)
            os.replace(whole, path)
            self._write(self._record_path(path), record.model_dump(mode="json"))
        return path

    def remove(self, name: str) -> Shelved:
        """Delete a model and its record; `UsageError` for the one that is chosen."""
        model = self.find(name)
        self.forget(model.path)
        with _named_errors(self.directory, "written"):
            for part in parts.there(model.path):
                part.unlink()
            self._record_path(model.path).unlink(missing_ok=True)
        return model

    def forget(self, path: Path) -> None:
        """Forget that this file was chosen before; `UsageError` for the one that is chosen now."""
        if self.chosen() == path:
            choose = "choose another first: `agentd model use NAME`, or `none`."
            raise UsageError(f"{path.stem} is the chosen model; {choose}")
        self._keep(self.chosen(), [other for other in self.earlier() if other != path])

    def chosen(self) -> Path | None:
        """The chosen file, whether it still exists or not; None if no file is chosen."""
        return self._choices()[0]

    def earlier(self) -> list[Path]:
        """The files that were chosen before, the newest first, whether they still exist or not."""
        return self._choices()[1]

    def _choices(self) -> tuple[Path | None, list[Path]]:
        path = self.directory / CHOSEN
        try:
            stored = json.loads(path.read_text())
            named = stored["path"]
            earlier = [self.directory / str(other) for other in stored.get("earlier", [])]
            return (None if named is None else self.directory / str(named)), earlier
        except FileNotFoundError:
            return None, []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s); choose a model again: `agentd model use NAME`", path, error)
            return None, []

    def answering(self, configured: Path | None) -> Path | None:
        """The file that a daemon loads when it starts: a path in the settings comes before a choice."""
        return configured or self.chosen()

    def choose(self, path: Path | None) -> None:
        """Store the choice durably; None means no file. Earlier choices are remembered."""
        chosen, earlier = self._choices()
        known = [other for other in (chosen, *earlier) if other is not None and other != path]
        self._keep(path, list(dict.fromkeys(known))[:MOST_EARLIER])

    def _keep(self, chosen: Path | None, earlier: Sequence[Path]) -> None:
        with _named_errors(self.directory, "written"):
            if chosen is None and not earlier:
                (self.directory / CHOSEN).unlink(missing_ok=True)
                return
            self.directory.mkdir(parents=True, exist_ok=True)
            named = None if chosen is None else self._named(chosen)
            kept = {"version": VERSION, "path": named, "earlier": [self._named(path) for path in earlier]}
            self._write(self.directory / CHOSEN, kept)

    def _named(self, path: Path) -> str:
        """A file on the shelf is stored without its directory, so that the shelf can be moved."""
        return path.name if path.parent == self.directory else str(path)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"

    def _record_path(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.json")

    def _shelved(self, path: Path) -> Shelved:
        record = None
        try:
            record = Record.model_validate_json(self._record_path(path).read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            log.warning("the record of %s cannot be read: %s", path, error)
        return Shelved(name=path.name.removesuffix(SUFFIX), path=path, size=size_of(path), record=record)

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        """Write all of it or nothing, durably."""
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)
        with beside.open("x") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _named_errors(directory: Path, done: str) -> Iterator[None]:
    """Turn an error of the disk into one that names the directory."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateError(f"{directory} cannot be {done}: {reason}; look at its owner and its space.") from None
