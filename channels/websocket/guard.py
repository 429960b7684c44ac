"""Looks at every request before anything else does, at streams and at handshakes of WebSockets too.

The name in `Host` must be one of this daemon's; else a page of anybody could reach it under a name of their own that
leads to this machine (DNS rebinding). A request that another site's page has made is refused; the headers `Origin` and
`Sec-Fetch-Site` tell that.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi.datastructures import Headers
from fastapi.responses import PlainTextResponse

from channels.websocket.asgi import App, Receive, Scope, Send
from channels.websocket.settings import WebSocketSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
FORBIDDEN = 4403
"""The close code of a handshake that is refused."""


def guarded(app: App, settings: WebSocketSettings) -> App:
    """The application behind its guard."""
    return Guard(app, settings)


class Guard:
    def __init__(self, app: App, settings: WebSocketSettings) -> None:
        self._app = app
        self._hosts = LOOPBACK | {_bare(settings.host)} | {name.lower() for name in settings.hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or (why := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(why, 403)(scope, receive, send)
        else:
            await _refuse(receive, send, why)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            return "this host name is not one of this agentd; add it to channels.websocket.hosts."
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return None
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return "another site may not use this agentd; add its origin to channels.websocket.origins."
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _is_visit(scope, headers):
            return "another site may not use this agentd; add its origin to channels.websocket.origins."
        return None


async def _refuse(receive: Receive, send: Send, why: str) -> None:
    """Accept, and close: a browser tells its page nothing of a handshake that failed."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": FORBIDDEN, "reason": why})


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Somebody follows a link of another site to the page, which is harmless."""
    return bool(scope["type"] == "http" and scope["method"] == "GET") and (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _name(host: str) -> str:
    """Without the port."""
    name = host.lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def _bare(address: str) -> str:
    return f"[{address}]" if ":" in address else address
