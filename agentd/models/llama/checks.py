"""Findings about models on this machine, kept so that later starts need not repeat the work.

They are in one JSON file, `models/checks.json` of the state directory. Each finding has a kind, a subject, and the
machine, the processor and the build of llama.cpp for which it holds; a finding of another one is not seen. The file is
a cache: if it is lost or cannot be written, the work is done again.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentd.errors import StateError
from agentd.host.ownership import open_own

log = logging.getLogger(__name__)

NAME = "checks.json"
VERSION = 1
MOST = 500
"""Findings that are kept; the oldest are dropped first."""
Findings = dict[str, Any]
_PROCESSOR = re.compile(r"^(?:model name|flags|Features|CPU part)\s*:.*$", re.MULTILINE)


@functools.cache
def here() -> str:
    """A digest of this machine, its processor and its build of llama.cpp."""
    found = hashlib.sha256()
    for path in ("/etc/machine-id", "/proc/cpuinfo"):
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        found.update("\n".join(sorted(set(_PROCESSOR.findall(text)))).encode() if "cpuinfo" in path else text.encode())
    found.update(f"{platform.machine()} {_build()}".encode())
    return found.hexdigest()[:16]


def _build() -> str:
    """The version of llama-cpp-python, and the size and time of its libraries, which are not loaded for that."""
    distribution = importlib.metadata.distribution("llama-cpp-python")
    libraries = []
    for file in distribution.files or ():
        if ".so" in file.name or file.suffix in (".dylib", ".dll"):
            state = os.stat(str(distribution.locate_file(file)))
            libraries.append(f"{file.name} {state.st_size} {int(state.st_mtime)}")
    return f"{distribution.version} {sorted(libraries)}"


def of_file(path: Path) -> str:
    """Identifies a model file without reading it: name, size and time."""
    state = path.stat()
    return f"{path.name} {state.st_size} {state.st_mtime_ns}"


class Checks:
    """With `path` None, nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, kind: str, about: str) -> dict[str, Any] | None:
        """The finding about this; None if there is none."""
        found = self._read().get(_key(kind, about))
        return found if isinstance(found, dict) else None

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """All findings of a kind by their subjects, the newest last."""
        prefix = _key(kind, "")
        of_kind = ((key, value) for key, value in self._read().items() if key.startswith(prefix))
        return {key.removeprefix(prefix): value for key, value in of_kind if isinstance(value, dict)}

    def put(self, kind: str, about: str, finding: dict[str, Any]) -> None:
        key = _key(kind, about)

        def put(findings: Findings) -> Findings:
            others = [(other, value) for other, value in findings.items() if other != key]
            return dict([*others, (key, finding)][-MOST:])

        self._change(put)

    def forget(self, kind: str, about: str) -> None:
        gone = _key(kind, about)
        self._change(lambda findings: {key: value for key, value in findings.items() if key != gone})

    def forget_file(self, path: Path) -> None:
        """Drop all findings about this very file, of every kind."""
        gone = re.compile(rf"{re.escape(here())} \S+ {re.escape(of_file(path))}( .*)?")
        self._change(lambda findings: {key: value for key, value in findings.items() if not gone.fullmatch(key)})

    def _change(self, change: Callable[[Findings], Findings]) -> None:
        """Only one process at a time, because the daemon and the process of the model both write findings."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(open_own(str(self._path.with_name(f".{NAME}.lock")), os.O_WRONLY | os.O_CREAT), "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                findings = self._read()
                if list((changed := change(findings)).items()) != list(findings.items()):  # the order counts, too
                    self._write(self._path, changed)
        except (OSError, StateError) as error:
            log.warning("%s cannot be written: %s", self._path, error)

    def _read(self) -> Findings:
        if self._path is None:
            return {}
        try:
            stored = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read (%s); its findings are made again", self._path, error)
            return {}
        if not isinstance(stored, dict) or stored.get("version") != VERSION:
            return {}
        findings = stored.get("findings")
        return findings if isinstance(findings, dict) else {}

    def _write(self, path: Path, findings: Findings) -> None:
        beside = path.with_name(f".{NAME}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        with beside.open("x") as file:
            json.dump({"version": VERSION, "findings": findings}, file, indent=1)
        os.replace(beside, path)


def _key(kind: str, about: str) -> str:
    return f"{here()} {kind} {about}"
