"""The one client for HTTP: every request of agentd goes through it, and no server can fill its memory or freeze it.

Bytes are counted as they arrive, compressed and unpacked; every wait has a limit; redirects are followed only as far as
the caller allows, and take no secret to another server. Of the environment, only the proxies and the certificates
count; cookies and `.netrc` do not. Every failure is an `OutboundError` whose text contains no secret.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from urllib.parse import unquote

import httpx2

from agentd.host.proxies import proxy_for
from agentd.host.urls import PORTS, is_encrypted, is_same_server, joined, shown, without_password
from agentd.text.plain import plain

MOST_REDIRECTS = 5
PIECE = 16 * 1024
"""Bytes of one piece; the event loop runs other tasks between two pieces."""
LONGEST_REASON = 200
"""How many characters of a library's error are shown."""
_REDIRECTS = (301, 302, 303, 307, 308)
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_LOCAL_FAULTS = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.InvalidURL, ValueError, OverflowError)


def silence(*libraries: str) -> None:
    """Keep these libraries from logging addresses, headers and keys. Call it after they are imported."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


silence("httpx", "httpx2", "httpcore", "httpcore2")


class OutboundError(Exception):
    """An exchange that failed; its text continues a name, as in "The server at … did not answer within 5 s"."""


class Unreached(OutboundError):
    """No reply: nobody is there, or nobody answered in time. Another try may help."""


class CutOff(OutboundError):
    """A reply broke off or stood still. Another try may help."""


class TooLarge(OutboundError):
    """A reply is larger than it may be."""


class Forbidden(OutboundError):
    """The address, the environment, a header or a redirect forbids the request. Another try does not help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """Limits in seconds.

    `connect` is to connect; `head` is for the head of a reply, with connecting and redirects; `piece` is between two
    pieces of its body.
    """

    connect: float = 10.0
    head: float = 60.0
    piece: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A request. A name and a password in the `url` are sent as a header and are never shown."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


class Reply:
    """The head of a reply, and its body, which can be read once. The names of `headers` are in lower case."""

    def __init__(self, response: httpx2.Response, url: str, waits: Waits) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.url = url
        """The address that it came from, after all redirects."""
        self._response = response
        self._waits = waits

    async def read(self, most: int) -> bytes:
        """The whole body; `TooLarge` if it has more than `most` bytes."""
        async with aclosing(self.pieces(most)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def lines(self, most: int, *, longest: int) -> AsyncGenerator[list[bytes], None]:
        """The lines as they arrive, without their ends (LF, CR LF or CR), possibly none at a time. `TooLarge` if one is
        longer than `longest` bytes.
        """
        held, after_return = bytearray(), False
        async with aclosing(self.pieces(most)) as pieces:
            async for piece in pieces:
                rest = piece[1:] if after_return and piece.startswith(b"\n") else piece
                after_return = piece.endswith(b"\r")
                *ended, begun = [part.rstrip(b"\r\n") for part in rest.splitlines(keepends=True)] or [b""]
                if rest.endswith((b"\r", b"\n")):
                    ended, begun = [*ended, begun], b""
                if ended:
                    ended[0] = bytes(held) + ended[0]
                    held.clear()
                held += begun
                if max(len(held), *map(len, ended), 0) > longest:
                    raise TooLarge(f"sends a line of more than {longest:,} bytes")
                yield ended
        if held:
            yield [bytes(held)]

    async def pieces(self, most: int) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, unpacked; `TooLarge` once it has more than `most` bytes, packed or unpacked."""
        unpack = _unpacker(self.headers.get("content-encoding", ""))
        raw = came = 0
        async with aclosing(self._raw()) as packed:
            async for data in packed:
                raw += len(data)
                for piece in unpack.feed(data):
                    came += len(piece)
                    if came > most:
                        break
                    yield piece
                    await asyncio.sleep(0)
                if max(raw, came) > most:
                    raise TooLarge(f"sends more than {most:,} bytes")

    async def _raw(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._response.aiter_raw()) as pieces:
            while (piece := await self._next(pieces)) is not None:
                yield piece

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._waits.piece) as limit:
                return await anext(pieces, None)
        except TimeoutError:
            if not limit.expired():
                raise
            raise CutOff(f"sent nothing more for {self._waits.piece:g} s") from None
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise CutOff(f"broke off ({_reason(error)})") from None


class Outbound:
    """Sends requests to servers and keeps connections open for the next ones; use it in one event loop, and `close` it.

    It follows redirects to the same server; with `elsewhere`, to other servers as well.
    """

    def __init__(self, *, elsewhere: bool = False) -> None:
        self._elsewhere = elsewhere
        self._transports: dict[tuple[str, bool], httpx2.AsyncHTTPTransport] = {}
        """By proxy ("" means none), and by whether the server has a certificate."""

    @asynccontextmanager
    async def open(self, ask: Ask, waits: Waits | None = None) -> AsyncIterator[Reply]:
        """The reply as soon as its head is there, whatever its status; it is closed at the end of the block."""
        waits = waits or Waits()
        try:
            async with asyncio.timeout(waits.head) as limit:
                response, url = await self._follow(ask, waits)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unreached(f"did not answer within {waits.head:g} s") from None
        try:
            yield Reply(response, url, waits)
        finally:
            await response.aclose()

    async def read(self, ask: Ask, *, most: int, within: float, connect: float = 10.0) -> tuple[Reply, bytes]:
        """A whole reply of at most `most` bytes, within this many seconds."""
        waits = Waits(connect=connect, head=within, piece=within)
        try:
            async with asyncio.timeout(within) as limit, self.open(ask, waits) as reply:
                return reply, await reply.read(most)
        except TimeoutError:
            if not limit.expired():
                raise
            raise CutOff(f"did not end its reply within {within:g} s") from None

    async def close(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    # --- one request, and where it is sent on to ---

    async def _follow(self, ask: Ask, waits: Waits) -> tuple[httpx2.Response, str]:
        first = ask.url
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._send(ask, waits)
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTS or not location:
                return response, ask.url
            await response.aclose()
            ask = self._redirected(ask, location, response.status_code, encrypted=is_encrypted(first))
        raise Forbidden(f"redirects more than {MOST_REDIRECTS} times")

    def _redirected(self, ask: Ask, location: str, status: int, *, encrypted: bool) -> Ask:
        try:
            url = joined(ask.url, location)
        except ValueError:
            raise Forbidden("redirects to something that is not an address") from None
        there = f"({status}) to {shown(url)}"
        if not url.startswith(("http://", "https://")):
            raise Forbidden(f"redirects {there}, which is not a web address")
        if encrypted and not is_encrypted(url):
            raise Forbidden(f"redirects {there}, which is not encrypted")
        if status == 303 and ask.method != "GET":
            raise Forbidden(f"redirects {there}, but this request may not be redirected")
        if is_same_server(ask.url, url):
            return replace(ask, url=url)
        if not self._elsewhere or ask.body:
            raise Forbidden(f"redirects {there}, which is another server")
        headers = {name: value for name, value in ask.headers.items() if name.lower() not in _SECRET_HEADERS}
        return replace(ask, url=without_password(url), headers=headers)

    async def _send(self, ask: Ask, waits: Waits) -> httpx2.Response:
        proxy = ""
        try:
            url = httpx2.URL(ask.url)
            proxy = proxy_for(url.scheme, url.host, os.environ)
            transport = await self._transport(proxy, encrypted=url.scheme == "https")
            return await transport.handle_async_request(_request(ask, url, waits))
        except httpx2.TimeoutException:
            raise Unreached(f"could not be reached within {waits.connect:g} s{_by(proxy)}") from None
        except _LOCAL_FAULTS as error:
            raise Forbidden(_local_reason(ask, error)) from None
        except httpx2.RemoteProtocolError as error:
            raise Unreached(f"does not answer like a web server{_by(proxy)} ({_reason(error)})") from None
        except (httpx2.HTTPError, OSError) as error:
            raise Unreached(f"cannot be reached{_by(proxy)} ({_reason(error)})") from None

    async def _transport(self, proxy: str, *, encrypted: bool) -> httpx2.AsyncHTTPTransport:
        if (transport := self._transports.get((proxy, encrypted))) is None:
            # Reading all certificates takes a while, and a request that needs none must not fail because of them.
            needed = encrypted or proxy.startswith("https://")
            trusted = await asyncio.to_thread(_certificates) if needed else SSLContext(PROTOCOL_TLS_CLIENT)
            transport = self._transports.setdefault((proxy, encrypted), _transport(proxy, trusted))
        return transport


# --- a request ---


def _request(ask: Ask, url: httpx2.URL, waits: Waits) -> httpx2.Request:
    if url.scheme not in PORTS or not url.host or not 0 < (url.port or PORTS[url.scheme]) < 65536:
        raise httpx2.UnsupportedProtocol("")
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "agentd"}
    if url.userinfo:
        headers["authorization"] = f"Basic {base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()}"
        url = url.copy_with(username=None, password=None)
    headers |= {name.lower(): value for name, value in ask.headers.items()}
    timeout = {"connect": waits.connect, "pool": waits.connect}
    content = ask.body or None
    return httpx2.Request(ask.method, url, headers=headers, content=content, extensions={"timeout": timeout})


def _transport(proxy: str, trusted: SSLContext) -> httpx2.AsyncHTTPTransport:
    if not proxy:
        return httpx2.AsyncHTTPTransport(verify=trusted)
    if not proxy.startswith(("http://", "https://")):
        raise Forbidden(
            f"cannot be asked: the environment names the proxy {shown(proxy)}, but agentd can use only proxies"
            " whose address begins with http:// or https://; change all_proxy (or http_proxy, https_proxy), or name the"
            " server in no_proxy"
        )
    try:
        return httpx2.AsyncHTTPTransport(verify=trusted, proxy=proxy)
    except (httpx2.InvalidURL, ValueError):
        raise Forbidden(
            f"cannot be asked: the environment names a proxy with a wrong address, {shown(proxy)}"
        ) from None


def _certificates() -> SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as error:  # that of a certificate that is none is one, too
        named = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")
        where = f"{named}={os.environ[named]}" if named else "the system's certificates"
        raise Forbidden(
            f"cannot be asked: {plain(where)} cannot be read ({error.strerror or 'not certificates'}); unset the"
            " variable, or set it to a file of certificates"
        ) from None


# --- unpacking ---


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack data into pieces of at most `PIECE` bytes."""
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]


class _Packed:
    """Unpacks gzip or deflate (RFC 9110, 8.4.1) piece by piece, however large the result is."""

    def __init__(self) -> None:
        self._inside = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = b"more"
        while data or len(piece) == PIECE:
            try:
                piece = self._inside.decompress(data, PIECE)
            except zlib.error:
                raise CutOff("sends data that cannot be decompressed") from None
            data = self._inside.unconsumed_tail
            if piece:
                yield piece


def _unpacker(encoding: str) -> _Plain | _Packed:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip" | "deflate":
            return _Packed()
        case _:
            raise CutOff(f"compresses its reply in a way that was not requested ({_short(encoding)})")


# --- words ---


def _by(proxy: str) -> str:
    return f" by the proxy {shown(proxy)} that the environment names" if proxy else ""


def _local_reason(ask: Ask, error: Exception) -> str:
    """What is wrong, without the library's words, which would quote an address or a key."""
    if isinstance(error, httpx2.LocalProtocolError | UnicodeEncodeError):
        return "cannot be asked: the key, or another header, has characters that no header can carry"
    return f"cannot be asked: {shown(ask.url)} is not an address of a web server"


def _reason(error: Exception) -> str:
    return _short(str(error)) or type(error).__name__


def _short(text: str) -> str:
    text = " ".join(plain(text).split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
