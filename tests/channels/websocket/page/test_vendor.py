"""What is here of others is what `tests/vendored.py` fetches: nothing was changed, nothing is left over."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.vendored import PACKAGES, PAGE, ROOT, TESTS, Package, content


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_file_is_as_it_was_fetched_and_has_its_licence_beside_it(package: Package) -> None:
    for _, path, expected in package.files:
        assert hashlib.sha256(content(ROOT / path)).hexdigest() == expected, path
    assert any(path.endswith(".LICENSE") for _, path, _ in package.files)


@pytest.mark.parametrize("folder", [PAGE, TESTS])
def test_nothing_else_lies_beside_them(folder: str) -> None:
    fetched = {path for package in PACKAGES for _, path, _ in package.files}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()} <= fetched


def test_the_page_about_dependencies_has_each_with_its_version_and_licence() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = set(re.findall(r"^\| (\S+) (\S+) \| ([^|]+) \|", page, re.MULTILINE))
    assert rows >= {(package.name, package.version, package.licence) for package in PACKAGES}
