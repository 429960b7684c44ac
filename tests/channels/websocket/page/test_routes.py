"""What browsers get: strict, compressed, kept for good if its address names its content, and asked for once."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from channels.websocket.page.assets import assets
from tests.channels.websocket.web import web

MOST_PACKED = 150_000


async def test_everything_that_the_page_names_is_served_with_its_policy(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http() as http:
        page = await http.get("/")
        assert page.status_code == 200 and page.headers["cache-control"] == "no-cache"
        named = set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
        assert {name.rpartition(".")[2] for name in named} == {"css", "js", "json", "svg"}
        for name in named:
            file = await http.get(name)
            assert file.status_code == 200 and "immutable" in file.headers["cache-control"], name
            assert file.headers["content-security-policy"] == page.headers["content-security-policy"]
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy and "http" not in policy and "default-src 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        worker = await http.get("/service-worker.js")
        assert worker.headers["content-type"].startswith("text/javascript") and "{{" not in worker.text + page.text
        assert (await http.get("/page/0000000000000000.js")).status_code == 404
        again = await http.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        packed = await http.get("/", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip" and packed.text == page.text
        plain = await http.get("/", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.text == page.text
        for theme, attribute in (("dark", ' data-theme="dark"'), ("<script>", "")):
            themed = await http.get("/", headers={"Cookie": f"agentd-theme={theme}"})
            assert f'<html lang="en"{attribute}>' in themed.text


def test_the_page_is_small_and_has_nothing_inline() -> None:
    fixed = assets().fixed.values()
    packed = [asset for asset in fixed if asset.type.startswith(("text/javascript", "text/css"))]
    assert len(packed) == 2 and sum(len(asset.packed) for asset in packed) < MOST_PACKED
    html = assets().pages[""].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)|https?://", html)
    assert all(gzip.decompress(asset.packed) == asset.body for asset in fixed)
