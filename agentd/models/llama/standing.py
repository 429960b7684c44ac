"""How a model file behaved on this machine: whether it ever gave a token, how it must be run, why it is set aside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from agentd.models.llama.checks import Checks, of_file

KIND = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A file is `proved` if it has given a token. If `way` is set, no other is used; `why` says why not.

    If the file is set aside, it is not started any more, and `aside` is the sentence that says why.
    """

    proved: bool = False
    way: str = ""
    why: str = ""
    aside: str = ""


def read(checks: Checks, path: Path) -> Standing:
    """The standing of this very file; nothing is known if it does not exist or has changed since."""
    try:
        found = checks.get(KIND, of_file(path)) or {}
    except OSError:
        return Standing()
    texts = {name: str(found.get(name, "")) for name in ("way", "why", "aside")}
    return Standing(proved=bool(found.get("proved")), **texts)


def write(checks: Checks, path: Path, standing: Standing) -> None:
    """Keep this, unless the file is gone."""
    if path.exists():
        checks.put(KIND, of_file(path), asdict(standing))


def forget(checks: Checks, path: Path) -> None:
    if path.exists():
        checks.forget(KIND, of_file(path))
