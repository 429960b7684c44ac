"""What is imported is declared and pinned, what is declared is used, and docs/dependencies.md says why."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = frozenset({"agentd", "channels", "workers", "tests", "bench"})
TO_COME = frozenset({"faiss-cpu", "python-telegram-bot"})
"""Declared for the rooms that come next; whoever imports one takes it off this list."""
TESTING = "agentd/testing/"
"""The fakes: they may need what is declared for development."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]).lower()


def _project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _declared() -> frozenset[str]:
    return frozenset(map(_normal, _project()["project"]["dependencies"]))


def _for_development() -> frozenset[str]:
    return frozenset(_normal(name) for group in _project()["dependency-groups"].values() for name in group)


def _imported(source: Path) -> set[str]:
    """The modules of others that a file imports, at the top, lazily, or for type checking; the first name of each."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names}
    return tops - OURS - sys.stdlib_module_names - {"_typeshed"}


@cache
def _packages(*folders: str) -> dict[str, set[str]]:
    """The packages that these folders import from, each with the files that do."""
    found: dict[str, set[str]] = {}
    installed = packages_distributions()
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for module in _imported(path):
            [package, *_] = installed.get(module, [module])
            found.setdefault(_normal(package), set()).add(str(path.relative_to(ROOT)))
    return found


def test_the_program_imports_only_what_is_declared() -> None:
    used = _packages("agentd", "channels", "workers")
    stray = {name: files for name, files in used.items() if name not in _declared()}
    assert not {
        name: files
        for name, files in stray.items()
        if name not in _for_development() or not all(file.startswith(TESTING) for file in files)
    }


def test_tests_and_benchmarks_import_only_what_is_declared() -> None:
    assert _packages("tests", "bench").keys() <= _declared() | _for_development()


def test_what_is_declared_is_imported_or_comes_next() -> None:
    assert _packages("agentd", "channels", "workers").keys() & _declared() == _declared() - TO_COME


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_what_is_declared_is_pinned(lock: str) -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
    assert _declared() <= pinned


def test_the_page_has_every_package_that_is_declared_and_no_other() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", page.partition("\n## ")[0], re.MULTILINE)
    named = {_normal(name) for row in rows for name in row.split(",")} - {"package", "---"}
    assert named == _declared() | _for_development()
