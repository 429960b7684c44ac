"""The client against servers that redirect, lie, flood and stand still."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.host.http import Ask, CutOff, Forbidden, Outbound, OutboundError, TooLarge, Unreached, Waits
from agentd.testing.http import HttpServer, Reply, Request

DEADLINE = 60.0
MIB = 1024 * 1024
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def client(*, elsewhere: bool = False) -> AsyncIterator[Outbound]:
    outbound = Outbound(elsewhere=elsewhere)
    try:
        async with asyncio.timeout(DEADLINE):
            yield outbound
    finally:
        await outbound.close()


@asynccontextmanager
async def raw_server(head: bytes, flood: bytes = b"", *, end: bool = True) -> AsyncIterator[str]:
    """Sends these bytes whatever it is asked; the `flood` again and again, until the client leaves."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            while flood:
                writer.write(flood)
                await writer.drain()
            await writer.drain()
            if not end:
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer), name="raw server")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def body_server(body: bytes, **headers: str) -> HttpServer:
    async def handle(request: Request, reply: Reply) -> None:
        await reply.send(200, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return HttpServer(handle)


async def got(outbound: Outbound, url: str, most: int = MIB) -> bytes:
    _, body = await outbound.read(Ask(url=url), most=most, within=DEADLINE)
    return body


async def lines_of(outbound: Outbound, url: str, *, longest: int = 1000, most: int = MIB) -> list[bytes]:
    async with outbound.open(Ask(url=url)) as reply:
        return [line async for lines in reply.lines(most, longest=longest) for line in lines]


# --- what is sent ---


async def test_a_request_is_sent_as_it_is_and_its_reply_read() -> None:
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.send(201, b"there", {"X-Answer": "yes"})

    async with HttpServer(handle) as server, client() as outbound:
        ask = Ask(url=f"{server.url}/v1/a?b=c", method="POST", headers={"X-Own": "1"}, body=b"{}")
        async with outbound.open(ask) as reply:
            assert (reply.status, reply.headers["x-answer"], await reply.read(100)) == (201, "yes", b"there")
    (request,) = seen
    assert (request.method, request.path, request.query, request.body) == ("POST", "/v1/a", {"b": ["c"]}, b"{}")
    assert request.headers["x-own"] == "1" and request.headers["content-length"] == "2"


async def test_a_password_in_the_address_is_a_header_and_in_no_message() -> None:
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.send(200)

    async with HttpServer(handle) as server, client() as outbound:
        url = server.url.replace("://", "://me:s%20cret@")
        await got(outbound, url)
        assert seen[0].headers["authorization"] == "Basic bWU6cyBjcmV0"
        await server.close()
        with pytest.raises(Unreached) as caught:
            await got(outbound, url)
    assert "cret" not in str(caught.value) + repr(Ask(url="u", headers={"a": "cret"}))


async def test_cookies_and_netrc_of_other_programs_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.send(200, b"", {"set-cookie": "a=b"})

    async with HttpServer(handle) as server, client() as outbound:
        await got(outbound, server.url)
        await got(outbound, server.url)
    assert all("cookie" not in request.headers and "authorization" not in request.headers for request in seen)


async def test_a_key_that_no_header_can_carry_is_told_without_it() -> None:
    async with body_server(b"") as server, client() as outbound:
        for key in ("sk-1\r", "sk-1\nx: y", "sk-1\u200b", "sk-1\ud83d"):
            with pytest.raises(Forbidden, match="no header") as caught:
                await outbound.read(Ask(url=server.url, headers={"authorization": key}), most=9, within=DEADLINE)
            assert "sk-1" not in str(caught.value)


def test_the_logs_of_the_libraries_are_off() -> None:
    for name in ("httpx2", "httpcore2.http11", "httpcore2.connection"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL), name


# --- what is read ---


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\n\r\nb\rc\n", [b"a", b"", b"b", b"c"]),
        (b"\n\n", [b"", b""]),
        ("a\u2028b\x0bc\x85\n".encode(), ["a\u2028b\x0bc\x85".encode()]),
    ],
)
async def test_lines_end_as_those_of_an_event_stream_do(body: bytes, lines: list[bytes]) -> None:
    async def one_by_one(request: Request, reply: Reply) -> None:
        await reply.head(200, {})
        for n in range(len(body)):
            await reply.write(body[n : n + 1])
        await reply.end()

    async with body_server(body) as whole, HttpServer(one_by_one) as pieces, client() as outbound:
        assert await lines_of(outbound, whole.url) == await lines_of(outbound, pieces.url) == lines


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_what_is_packed_is_unpacked(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    text = b"line\n" * 50_000
    async with body_server(pack(text), content_encoding=encoding) as server, client() as outbound:
        assert await got(outbound, server.url) == text
        assert await lines_of(outbound, server.url) == [b"line"] * 50_000


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"no gzip")])
async def test_what_cannot_be_unpacked_is_told(encoding: str, body: bytes) -> None:
    async with body_server(body, content_encoding=encoding) as server, client() as outbound:
        with pytest.raises(CutOff, match=r"decompressed|not requested"):
            await got(outbound, server.url)


async def test_a_body_is_read_up_to_its_limit_however_it_comes() -> None:
    exact, bomb = b"x" * MIB, gzip.compress(b"\0" * (64 * MIB))
    async with body_server(exact) as server, client() as outbound:
        assert len(await got(outbound, server.url)) == MIB
        with pytest.raises(TooLarge, match="more than 1,048,575 bytes"):
            await got(outbound, server.url, MIB - 1)
    async with body_server(bomb, content_encoding="gzip") as server, client() as outbound:
        with pytest.raises(TooLarge):
            await got(outbound, server.url)
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * MIB) as url, client() as outbound:
        with pytest.raises(TooLarge):
            await got(outbound, url)


async def test_what_is_packed_counts_even_if_nothing_is_in_it() -> None:
    empty = zlib.compressobj(wbits=31)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + empty.compress(b"") + empty.flush(zlib.Z_FULL_FLUSH)
    nothing = zlib.compressobj(wbits=-15)
    async with raw_server(head, nothing.flush(zlib.Z_FULL_FLUSH) * 1000) as url, client() as outbound:
        with pytest.raises(TooLarge):
            await got(outbound, url)


async def test_a_line_has_a_limit_of_its_own() -> None:
    async with body_server(b"a\n" + b"x" * 1001) as server, client() as outbound:
        with pytest.raises(TooLarge, match="1,000 bytes"):
            await lines_of(outbound, server.url)
        assert len(await lines_of(outbound, server.url, longest=1001)) == 2


async def test_what_a_piece_of_a_flood_holds_up_is_short() -> None:
    """Counted in turns of the loop: others run between two pieces, however fast a server sends."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    bomb = gzip.compress(b"\n" * (MIB // 2))
    async with body_server(bomb, content_encoding="gzip") as server, client() as outbound:
        task = asyncio.create_task(other(), name="other")
        assert len(await lines_of(outbound, server.url, most=MIB // 2)) == MIB // 2
        task.cancel()
    assert turns >= 32


async def test_headers_have_a_limit() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 1000 + b"\r\n") as url, client() as outbound:
        with pytest.raises(Unreached, match="a web server"):
            await got(outbound, url)
    async with raw_server(b"", b"HTTP/1.1 100 \r\n\r\n" * 100) as url, client() as outbound:
        with pytest.raises(Unreached, match=r"within 0\.3 s"):
            async with outbound.open(Ask(url=url), Waits(head=0.3)):
                pass


# --- what does not come ---


async def test_every_wait_has_a_limit() -> None:
    async with raw_server(b"", end=False) as url, client() as outbound:
        with pytest.raises(Unreached, match=r"within 0\.2 s"):
            async with outbound.open(Ask(url=url), Waits(head=0.2)):
                pass
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\nx", end=False) as url, client() as outbound:
        async with outbound.open(Ask(url=url), Waits(piece=0.2)) as reply:
            with pytest.raises(CutOff, match=r" 0\.2 s"):
                await reply.read(10)
        with pytest.raises(CutOff, match=r"within 0\.2 s"):
            await outbound.read(Ask(url=url), most=10, within=0.2)


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"]
)
async def test_what_is_not_http_is_told(sent: bytes) -> None:
    async with raw_server(sent) as url, client() as outbound:
        with pytest.raises(Unreached):
            await got(outbound, url)


@pytest.mark.parametrize("rest", [b"content-length: 9\r\n\r\nx", b"transfer-encoding: chunked\r\n\r\nzz\r\n"])
async def test_a_body_that_breaks_off_is_told(rest: bytes) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n" + rest) as url, client() as outbound:
        with pytest.raises(CutOff, match="broke off"):
            await got(outbound, url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:0/", "http://", "file:///etc/passwd", "", "x"),
        *("http://a b/", "http://\x00/", "http://" + "a" * 300, "http://xn--/", "http://me:pw@[::1", "http://\ud83d/"),
        "http://a..b/",
    ],
)
async def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    async with client() as outbound:
        with pytest.raises(OutboundError) as caught:
            await got(outbound, url)
    assert "pw" not in str(caught.value)


# --- redirects ---


@asynccontextmanager
async def redirecting(to: Callable[[str], str], status: int = 307) -> AsyncIterator[tuple[HttpServer, list[Request]]]:
    """A server that sends `/first` on to what `to` makes of its own address, and answers the rest with the path."""
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        if request.path == "/first":
            await reply.send(status, b"", {"location": to(server.url)})
        else:
            await reply.send(200, request.path.encode())

    async with HttpServer(handle) as server:
        yield server, seen


POST = {"method": "POST", "headers": {"Authorization": "Bearer sk", "Cookie": "a=b", "X-Other": "1"}, "body": b"prompt"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["/second", "second", "{}/second"])
async def test_a_redirect_on_the_same_server_is_followed_with_all_that_was_sent(status: int, place: str) -> None:
    async with redirecting(place.format, status) as (server, seen), client() as outbound:
        reply, body = await outbound.read(Ask(url=f"{server.url}/first", **POST), most=99, within=DEADLINE)  # type: ignore[arg-type]
        assert body == b"/second" and reply.url.endswith("/second")
    assert (seen[1].method, seen[1].body, seen[1].headers["authorization"]) == ("POST", b"prompt", "Bearer sk")


@pytest.mark.parametrize(
    "place",
    [
        "http://localhost:{port}/v1",
        "http://127.0.0.2:{port}/v1",
        "http://127.0.0.1:1/",
        "//other.test/x",
        "file:///etc/passwd",
        "http://[::1",
    ],
)
async def test_a_redirect_to_another_server_is_not_followed(place: str) -> None:
    def to(url: str) -> str:
        return place.format(port=url.rpartition(":")[2])

    async with redirecting(to) as (server, seen), client() as outbound:
        with pytest.raises(Forbidden, match="redirects"):
            await outbound.read(Ask(url=f"{server.url}/first", **POST), most=99, within=DEADLINE)  # type: ignore[arg-type]
    assert len(seen) == 1


async def test_a_download_follows_to_another_server_and_takes_no_secret_there() -> None:
    async with redirecting(lambda _: f"{other.url.replace('127.0.0.1', 'me:pw@localhost')}/file") as (server, _):
        async with redirecting(str) as (other, seen), client(elsewhere=True) as outbound:
            headers = {"Authorization": "Bearer sk", "cookie": "a=b", "range": "bytes=0-"}
            reply, body = await outbound.read(Ask(url=f"{server.url}/first", headers=headers), most=99, within=DEADLINE)
            assert body == b"/file" and "pw" not in reply.url
            with pytest.raises(Forbidden, match="another server"):
                await outbound.read(Ask(url=f"{server.url}/first", **POST), most=99, within=DEADLINE)  # type: ignore[arg-type]
    assert [request.headers.get(name) for request in seen for name in ("authorization", "cookie")] == [None, None]
    assert seen[0].headers["range"] == "bytes=0-"


async def test_redirects_have_an_end() -> None:
    async with redirecting(lambda url: f"{url}/first") as (server, seen), client(elsewhere=True) as outbound:
        with pytest.raises(Forbidden, match="more than 5 times"):
            await got(outbound, f"{server.url}/first")
    assert len(seen) == 6


async def test_a_redirect_that_gives_up_encryption_is_not_followed() -> None:
    outbound = Outbound(elsewhere=True)
    ask = Ask(url="https://hub.test/a")
    with pytest.raises(Forbidden, match="not encrypted"):
        outbound._redirected(ask, "http://hub.test/a", 307, encrypted=True)
    assert outbound._redirected(ask, "http://cdn.test/a", 307, encrypted=False).url == "http://cdn.test/a"
    with pytest.raises(Forbidden, match="not be redirected"):
        outbound._redirected(
            Ask(url="http://a.test/", method="POST", body=b"x"), "http://a.test/b", 303, encrypted=False
        )


async def test_the_encrypted_side_of_a_server_is_the_same_server() -> None:
    outbound = Outbound()
    ask = Ask(url="http://host.test/v1", method="POST", headers={"authorization": "x"}, body=b"x")
    assert outbound._redirected(ask, "https://host.test/v1", 308, encrypted=False).headers == ask.headers
    with pytest.raises(Forbidden):
        outbound._redirected(ask, "https://host.test:8443/v1", 308, encrypted=False)


# --- the environment ---


async def test_a_server_on_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with body_server(b"here") as server, client() as outbound:
        assert await got(outbound, server.url) == b"here"


async def test_a_proxy_is_used_for_other_servers_and_named_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.send(200, b"by proxy")

    async with HttpServer(handle) as proxy, client() as outbound:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:secret@"))
        assert await got(outbound, "http://models.test/v1/x") == b"by proxy"
        await proxy.close()
        with pytest.raises(Unreached, match=r"proxy http://127\.0\.0\.1:\d+ ") as caught:
            await got(outbound, "http://models.test/v1/x")
    assert "secret" not in str(caught.value)
    assert seen[0].headers["host"] == "models.test" and "proxy-authorization" in seen[0].headers


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "socks://me:pw@x:1", "http://[::1", "ftp://x", "http://x:99999"]
)
async def test_a_proxy_that_cannot_be_used_is_told(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with client() as outbound:
        with pytest.raises(OutboundError, match="proxy") as caught:
            await got(outbound, "http://models.test/v1")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_certificates_that_cannot_be_read_are_told_and_matter_to_https_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").write_text("no certificate")
    async with body_server(b"here") as server, client() as outbound:
        for path in (tmp_path / "missing", tmp_path / "none"):
            monkeypatch.setenv(name, str(path))
            assert await got(outbound, server.url) == b"here"
            with pytest.raises(OutboundError):
                await got(outbound, "https://127.0.0.1:1")


async def test_certificates_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    async with client() as outbound:
        with pytest.raises(Forbidden, match=r"SSL_CERT_FILE=.*missing\.pem cannot be read"):
            await got(outbound, "https://127.0.0.1:1")
