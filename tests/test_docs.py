"""Every file that a page names is there, and so is every page and heading that a page links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "systemd" / "README.md", *(ROOT / "docs").rglob("*.md")]
)
SOURCE = re.compile(r"`((?:agentd|channels|workers|tests|bench)/[\w./-]+\.(?:py|toml|sql))`")
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)")


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def missing(page: Path, root: Path) -> list[str]:
    """What the page names or links to and nobody has."""
    text = page.read_text()
    found = [path for path in SOURCE.findall(text) if not (root / path).exists()]
    for link, anchor in LINK.findall(text):
        target = page.parent / link if link else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            found.append(f"{link}#{anchor}" if anchor else link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert missing(page, ROOT) == []


def test_a_file_a_page_and_a_heading_that_are_not_there_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Two words\n")
    page = tmp_path / "a.md"
    page.write_text("`agentd/gone.py` [x](c.md) [y](b.md#three) [z](b.md#two-words) [w](https://example.org/d.md)\n")
    assert missing(page, tmp_path) == ["agentd/gone.py", "c.md", "b.md#three"]
