"""What a model file has shown on this machine: whether it ever gave a token, how it must be run, or why it is not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from agentd.models.llama.checks import Checks, of_file

KIND = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """`proved`: it has given a token. `way`, if any, is the only one that is used, `why` says what happened in another.

    `aside`: the sentence for people if the file is not started any more.
    """

    proved: bool = False
    way: str = ""
    why: str = ""
    aside: str = ""


def read(checks: Checks, path: Path) -> Standing:
    """What was found out about this very file; nothing of one that is not there or was changed since."""
    try:
        found = checks.get(KIND, of_file(path)) or {}
    except OSError:
        return Standing()
    texts = {name: str(found.get(name, "")) for name in ("way", "why", "aside")}
    return Standing(proved=bool(found.get("proved")), **texts)


def write(checks: Checks, path: Path, standing: Standing) -> None:
    """Nothing is kept of a file that is gone."""
    if path.exists():
        checks.put(KIND, of_file(path), asdict(standing))


def forget(checks: Checks, path: Path) -> None:
    if path.exists():
        checks.forget(KIND, of_file(path))
