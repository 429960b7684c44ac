"""Addresses on the web: shown without their secrets, joined, and told apart by their servers."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import httpx2

from agentd.text.plain import plain

PORTS = {"http": 80, "https": 443}
"""The schemes that agentd speaks, each with its usual port."""


def shown(url: str) -> str:
    """An address for messages and logs: without name and password, and without the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return plain(url.rpartition("@")[2].partition("?")[0])
    host = parts.netloc.rpartition("@")[2]
    return plain(urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", "")))


def beside(url: str, path: str) -> str:
    """The address of `path` below an endpoint; the query of the endpoint stays."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))


def joined(url: str, location: str) -> str:
    """Where a redirect from `url` leads; `ValueError` if that is not an address."""
    try:
        return str(httpx2.URL(url).join(location))
    except httpx2.InvalidURL as error:
        raise ValueError(str(error)) from None


def is_encrypted(url: str) -> bool:
    return url.startswith("https://")


def is_same_server(url: str, other: str) -> bool:
    """Whether `other` is the same server, or the encrypted side of it."""
    here, there = _server(url), _server(other)
    return here == there or (here[0] == there[0] and (here[1:], there[1:]) == (("http", 80), ("https", 443)))


def _server(url: str) -> tuple[str, str, int]:
    parts = httpx2.URL(url)
    return parts.host.lower(), parts.scheme, parts.port or PORTS.get(parts.scheme, 0)


def without_password(url: str) -> str:
    """Without the name either."""
    return str(httpx2.URL(url).copy_with(username=None, password=None))
