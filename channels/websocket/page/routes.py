"""`/`, the web page, and what belongs to it. Everybody may load it; it shows nothing to who is not signed in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from agentd.errors import NotFound
from channels.websocket.page.assets import ROOT, Asset, assets

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types dompurify agentd"
)
"""What the page may do: nothing of another host, no script or style within it, nowhere in a frame."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
THEME = "agentd-theme"
"""The cookie with the theme that somebody chose."""
FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def page(request: Request) -> Response:
    """The page itself, which is asked for each time, so that a new version is seen at once."""
    pages = (await asyncio.to_thread(assets)).pages
    return _sent(request, pages.get(request.cookies.get(THEME, ""), pages[""]), "no-cache")


@router.get("/service-worker.js")
async def worker(request: Request) -> Response:
    """What opens the page when agentd is not there."""
    return _sent(request, (await asyncio.to_thread(assets)).worker, "no-cache")


@router.get(ROOT + "{name}")
async def fixed(request: Request, name: str) -> Response:
    """Files whose addresses change with their content."""
    asset = (await asyncio.to_thread(assets)).fixed.get(ROOT + name)
    if asset is None:
        raise NotFound("there is no such file; load the page again.")
    return _sent(request, asset, FOR_GOOD)


def _sent(request: Request, asset: Asset, caching: str) -> Response:
    tag = f'"{asset.mark}"'
    headers: Mapping[str, str] = {**HEADERS, "Cache-Control": caching, "ETag": tag, "Vary": "Accept-Encoding, Cookie"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**headers, "Content-Encoding": "gzip"}
        return Response(asset.packed, media_type=asset.type, headers=headers)
    return Response(asset.body, media_type=asset.type, headers=headers)
