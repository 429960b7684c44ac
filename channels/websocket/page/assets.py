"""What the page's routes serve, made once: addresses change with the content, and each file is compressed once."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from channels.websocket.page.bundle import joined

HERE = Path(__file__).parent
THEMES = ("", "light", "dark")
ROOT = "/page/"
"""What the addresses of files that never change begin with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file as browsers get it; `mark` changes with its content."""

    type: str
    body: bytes
    packed: bytes
    mark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Assets:
    """`pages` are the page in its themes ("" for the system's own).

    `fixed` are the files by their addresses, which name their content, so that browsers keep them for good.
    """

    pages: Mapping[str, Asset]
    worker: Asset
    fixed: Mapping[str, Asset]


@cache
def assets() -> Assets:
    """All of them. It reads and compresses files: call it in a thread."""
    script = _asset("text/javascript", joined(HERE / "scripts" / "main.js"))
    style = _asset("text/css", (HERE / "page.css").read_text())
    icon = _asset("image/svg+xml", (HERE / "icon.svg").read_text())
    fixed = {f"{ROOT}{script.mark}.js": script, f"{ROOT}{style.mark}.css": style, f"{ROOT}{icon.mark}.svg": icon}
    addresses = dict(zip(("{{script}}", "{{style}}", "{{icon}}"), fixed, strict=True))
    manifest = _asset("application/manifest+json", _filled("manifest.json", addresses))
    fixed[f"{ROOT}{manifest.mark}.json"] = manifest
    addresses["{{manifest}}"] = f"{ROOT}{manifest.mark}.json"
    pages = {theme: _page(theme, addresses) for theme in THEMES}
    addresses["{{page}}"] = pages[""].mark
    worker = _asset("text/javascript", _filled("worker.js", addresses))
    return Assets(pages=pages, worker=worker, fixed=fixed)


def _page(theme: str, addresses: Mapping[str, str]) -> Asset:
    attribute = f' data-theme="{theme}"' if theme else ""
    return _asset("text/html", _filled("page.html", {**addresses, "{{theme}}": attribute}))


def _filled(name: str, addresses: Mapping[str, str]) -> str:
    text = (HERE / name).read_text()
    for place, address in addresses.items():
        text = text.replace(place, address)
    return text


def _asset(kind: str, text: str) -> Asset:
    body = text.encode()
    mark = hashlib.sha256(body).hexdigest()[:16]
    return Asset(type=f"{kind}; charset=utf-8", body=body, packed=gzip.compress(body, mtime=0), mark=mark)
