"""Looks at every request before anything else does, at streams and at handshakes of WebSockets too.

The name in `Host` must be one of this daemon's; else a page of anybody could reach it under a name of their own that
leads to this machine (DNS rebinding). A request that another site's page has made is refused; the headers `Origin` and
`Sec-Fetch-Site` tell that. What says whose a request is comes from trusted proxies alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi.datastructures import Headers

from agentd.errors import AgentdError, Forbidden
from channels.websocket.asgi import App, Message, Receive, Scope, Send
from channels.websocket.proxies import is_trusted
from channels.websocket.refusals import refused
from channels.websocket.settings import WebSocketSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
FORBIDDEN = 4403
"""The close code of a handshake that is refused, after the status of HTTP that means the same."""
OTHER_NAME = "this host name is not one of this agentd; add it to channels.websocket.hosts."
OTHER_SITE = "another site may not use this agentd; add its origin to channels.websocket.origins."
HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""Of every answer that does not say something else itself."""


class Guard:
    """In front of the whole application."""

    def __init__(self, app: App, settings: WebSocketSettings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = LOOPBACK | {_bare(settings.host)} | {name.lower() for name in settings.hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._believe(scope)
        said = send if scope["type"] == "websocket" else with_headers(send)
        if (why := self._refusal(scope)) is None:
            await self._app(scope, receive, said)
        elif scope["type"] == "http":
            await refused(why)(scope, receive, said)
        else:
            await _refuse(receive, send, why)

    def _believe(self, scope: Scope) -> None:
        """What proxies say counts if they are trusted; from anybody else it is as if it had not been said."""
        if not is_trusted(scope, self._settings):
            mine = self._settings.user_header.lower().encode()
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != mine]
        if self._settings.behind_proxy and Headers(scope=scope).get("x-forwarded-proto", "").lower() == "https":
            # Whoever says so untruly gets a cookie that their own browser drops.
            scope["scheme"] = "https" if scope["type"] == "http" else "wss"

    def _refusal(self, scope: Scope) -> AgentdError | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(_name(hosts[0]), scope):
            return Forbidden(OTHER_NAME)
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return None
        if origin is not None and not _is_same(origin, hosts[0], scope):
            return Forbidden(OTHER_SITE)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _is_visit(scope, headers):
            return Forbidden(OTHER_SITE)
        return None

    def _is_ours(self, name: str, scope: Scope) -> bool:
        """An address of the machine is ours if the request came in there: no name leads a browser to believe it is."""
        return name in self._hosts or name == _bare(str((scope.get("server") or ("",))[0]))


def with_headers(send: Send) -> Send:
    """What is sent, with `HEADERS`."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            there = {name.lower() for name, _ in given}
            message = {**message, "headers": given + [item for item in HEADERS.items() if item[0] not in there]}
        await send(message)

    return sending


async def _refuse(receive: Receive, send: Send, why: AgentdError) -> None:
    """Accept, and close: a browser tells its page nothing of a handshake that failed."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": FORBIDDEN, "reason": str(why)})


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Somebody follows a link of another site to the page, which is harmless."""
    return bool(scope["type"] == "http" and scope["method"] == "GET") and (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _is_same(origin: str, host: str, scope: Scope) -> bool:
    """Whether a page of this origin is ours; over TLS, one that came without it may be somebody else's."""
    page = urlsplit(origin.lower())
    schemes = ("https",) if scope["scheme"] in ("https", "wss") else ("http", "https")
    return page.netloc == host.lower() and page.scheme in schemes


def _name(host: str) -> str:
    """Without the port."""
    name = host.lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def _bare(address: str) -> str:
    return f"[{address}]" if ":" in address else address
