"""What was found out about models on this machine, kept so that later starts cost nothing.

One JSON file, `models/checks.json` of the state directory. Each finding has a kind, what it is about, and where it
holds: on this machine, with this processor and this build of llama.cpp. A finding that was made elsewhere is not seen.
The file is a cache: if it is lost or cannot be written, what it says is found out again.
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
"""Findings that are kept; the oldest go first."""
Findings = dict[str, Any]
_PROCESSOR = re.compile(r"^(?:model name|flags|Features|CPU part)\s*:.*$", re.MULTILINE)


@functools.cache
def here() -> str:
    """A digest of this machine, its processor and its build of llama.cpp: another one wherever any of them differs."""
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
    """The version of llama-cpp-python and its libraries by size and time, without loading them."""
    distribution = importlib.metadata.distribution("llama-cpp-python")
    libraries = []
    for file in distribution.files or ():
        if ".so" in file.name or file.suffix in (".dylib", ".dll"):
            state = os.stat(str(distribution.locate_file(file)))
            libraries.append(f"{file.name} {state.st_size} {int(state.st_mtime)}")
    return f"{distribution.version} {sorted(libraries)}"


def of_file(path: Path) -> str:
    """What tells a model file from another one without reading all of it."""
    state = path.stat()
    return f"{path.name} {state.st_size} {state.st_mtime_ns}"


class Checks:
    """`path` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, kind: str, about: str) -> dict[str, Any] | None:
        """What was found here about this, None if nothing was."""
        found = self._read().get(_key(kind, about))
        return found if isinstance(found, dict) else None

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Everything of a kind that was found here, by what it is about, the newest last."""
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
        """Everything that was found here about this very file, of every kind."""
        gone = re.compile(rf"{re.escape(here())} \S+ {re.escape(of_file(path))}( .*)?")
        self._change(lambda findings: {key: value for key, value in findings.items() if not gone.fullmatch(key)})

    def _change(self, change: Callable[[Findings], Findings]) -> None:
        """One process at a time: the daemon and the process of the model both find things out."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(open_own(str(self._path.with_name(f".{NAME}.lock")), os.O_WRONLY | os.O_CREAT), "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                findings = self._read()
                if list((changed := change(findings)).items()) != list(findings.items()):  # their order counts, too
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
            log.warning("%s cannot be read (%s); its content is found out again", self._path, error)
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
