"""What is done to a daemon, one function for each kind; each ends by itself."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from agentd.testing.http import HttpServer, Reply, Request
from tests.hostile.house import MIB, House

Attack = Callable[[House], Awaitable[None]]
IDLE_QUESTIONS = 20

# --- frames ----------------------------------------------------------------------------------------------------------


def _frames(size: int) -> Iterator[bytes]:
    """Frames of about this many bytes whose members are cheap to write and dear to read."""
    yield b'{"type":"ack","ids":[' + b"0," * (size // 2) + b"0]}"
    yield b'{"type":"ack","ids":[' + b'"",' * (size // 3) + b'""]}'
    yield b'{"type":"ingest","id":"x","paths":[' + b"{}," * (size // 3) + b"0]}"
    yield b'{"type":"ack","ids":[],' + b",".join(b'"%x":0' % n for n in range(size // 10)) + b"}"
    yield b'{"x":[' + b"9," * (size // 2) + b"0]}"
    yield b'{"type":"' + b"a" * size + b'"}'
    yield b'{"type":"open","id":"x","session":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}"
    yield b'{"type":"get","id":"x","what":"status","limit":' + b"9" * size + b"}"


async def frames_dear_to_read(house: House) -> None:
    for frame in _frames(7 * MIB):
        raw = await house.raw()
        await raw.send(frame + b"\n")
        await raw.hear("error")
        await house.ask()
        await raw.close()


async def half_frames(house: House) -> None:
    half = b'{"type":"open","id":"' + b"x" * (8 * MIB - 100)
    for _ in range(60):
        await (await house.raw(hello=False)).send(half)
    await house.ask()


async def lines_without_end(house: House) -> None:
    raw = await house.raw(hello=False)
    sent = 0
    while sent < 256 * MIB and await raw.send(b"y" * MIB):
        sent += MIB
    assert sent < 32 * MIB, f"it took {sent // MIB} MiB of a line without an end"


async def garbage(house: House) -> None:
    raw = await house.raw()
    for n in range(5000):
        if not await raw.send(b"\xff\x00 junk %d\n" % n + b'{"type":"hello"}\n' * (n % 2)):
            return
        await raw.hear()


async def silent_connections(house: House) -> None:
    """More than there are places; the owner is served all the same."""
    for _ in range(400):
        try:
            await house.raw(hello=False)
        except OSError:
            continue
    await house.ask()


async def unread_replies(house: House) -> None:
    for kind in (
        {"type": "command", "text": "/status"},
        {"type": "get", "what": "status"},
        {"type": "delivery", "what": "list"},
    ):
        raw = await house.raw()
        for n in range(0, 20_000, 500):
            lines = b"".join(json.dumps({**kind, "id": f"{n + k}"}).encode() + b"\n" for k in range(500))
            if not await raw.send(lines):
                break
        await house.ask()


async def a_flood_of_messages(house: House) -> None:
    raw = await house.raw()
    session = await house.session(raw)
    for n in range(600):
        reply = await house.post(raw, session, f"What is number {n}?", f"m{n}")
        if reply is None:
            break


async def a_flood_of_sessions(house: House) -> None:
    raw = await house.raw()
    for n in range(3000):
        if not await raw.say(type="open", id="o", session=f"n{n}") or await raw.hear() is None:
            break


# --- text ------------------------------------------------------------------------------------------------------------

SHAPES = {
    "full stops": ".",
    "words and stops": "word. ",
    "combining marks": "a\u0301\u0316",
    "headings": "# a\n",
    "brackets": "[",
    "links": "[a](",
    "quotes": '"',
    "fences": "```\n",
    "digits": "1",
    "sums": "1+",
    "blanks": " ",
    "line feeds": "\n",
    "citations": "[1]",
    "letters": "a",
    "bars": "|a",
    "stars": "*a ",
    "lists": "- a\n",
    "quoted": "> ",
    "tags": "<a ",
    "arabic": "\ufdfa",
    "escapes": "\x1b]",
    "zero width": "\u200b",
}


async def messages_dear_to_read(house: House) -> None:
    raw = await house.raw()
    session = await house.session(raw)
    for n, shape in enumerate(SHAPES.values()):
        text = shape * (200_000 // len(shape)) + "\n\nWhat is a zebra?"
        await house.post(raw, session, text, f"shape{n}")
    await house.ask()


async def documents_dear_to_read(house: House) -> None:
    size = MIB // 2
    files = {f"{n}.md": shape * (size // len(shape)) for n, shape in enumerate(SHAPES.values())}
    files["heading.md"] = "# t\n\n## " + "word " * (size // 10) + "\n\n" + "A paragraph of words.\n\n" * (size // 50)
    files["front.md"] = "---\n" + "a: b\n" * 10_000 + "---\ntext\n"
    files["open-front.md"] = "---\n" + "a: [" * 10_000
    files["image.md"] = f"# Picture\n\n![a](data:image/png;base64,{'QUJD' * (size // 4)})\n"
    await house.ingest(files)
    stored = sum(path.stat().st_size for path in house.daemon.state_dir.glob("documents.db*"))
    assert stored < 200 * MIB, f"{stored // MIB} MiB on disk"
    await house.ask()


async def files_that_are_none(house: House) -> None:
    folder = house.place / "documents"
    secret = house.place / "secret.txt"
    secret.write_text("The password of the zebra is swordfish.")
    os.mkfifo(folder / "pipe.md")
    (folder / "link.md").symlink_to(secret)
    (folder / "zero.md").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    await house.ingest({})
    answer = await house.ask("What is the password of the zebra?")
    assert "swordfish" not in answer.text


# --- what a model server sends ---------------------------------------------------------------------------------------

Handler = Callable[[Reply], Awaitable[None]]
EVENTS = {"content-type": "text/event-stream"}


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _said(**delta: object) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


async def _stream(reply: Reply, *parts: bytes, headers: dict[str, str] | None = None) -> None:
    await reply.head(200, {**EVENTS, **(headers or {})})
    for part in parts:
        await reply.write(part)
    await reply.end()


async def _half_characters(reply: Reply) -> None:
    await _stream(reply, _said(content="a \ud83d"), _said(content="\ude00 b \udc00"), b"data: [DONE]\n\n")


async def _numbers(reply: Reply) -> None:
    await _stream(reply, b'data: {"choices":[' + b"0," * (8 * MIB) + b"0]}\n\n")


async def _endless_line(reply: Reply) -> None:
    await _stream(reply, b"data: ", *[b"x" * MIB] * 300)


async def _endless_answer(reply: Reply) -> None:
    await _stream(reply, *[_said(content="word " * 2000)] * 20_000)


async def _calls(reply: Reply) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "n" * 10_000, "arguments": "{" * 10_000}}
    await _stream(reply, *[_said(tool_calls=[{**call, "index": n}]) for n in range(5000)])


async def _bomb(reply: Reply) -> None:
    await _stream(reply, gzip.compress(b"data: " + b"0" * (300 * MIB)), headers={"content-encoding": "gzip"})


async def _small_events(reply: Reply) -> None:
    await _stream(reply, b"data:1\n\n" * 40_000)


async def _small_lines(reply: Reply) -> None:
    await _stream(reply, b"data:{}\n" * 40_000)


async def _error_body(reply: Reply) -> None:
    await reply.head(500, {"content-type": "application/json"})
    for _ in range(300):
        await reply.write(b'{"error":"' + b"e" * MIB)


async def _away(reply: Reply) -> None:
    await reply.send(307, b"", {"location": "http://localhost:9/v1/chat/completions"})


SERVERS: tuple[Handler, ...] = (
    _half_characters,
    _numbers,
    _endless_line,
    _endless_answer,
    _calls,
    _bomb,
    _small_events,
    _small_lines,
    _error_body,
    _away,
)


class HostileServer:
    """Answers each question in the next of the bad ways."""

    def __init__(self) -> None:
        self.next: Handler = SERVERS[0]
        self.server = HttpServer(self._handle)

    async def _handle(self, request: Request, reply: Reply) -> None:
        try:
            if request.path.endswith("/models"):
                await reply.send_json(200, {"data": [{"id": "m"}]})
            else:
                await self.next(reply)
        except OSError:
            """The daemon has heard enough."""


async def a_hostile_server(house: House, server: HostileServer) -> None:
    for handler in SERVERS:
        server.next = handler
        await house.ask()


KINDS: dict[str, Attack] = {
    "frames": frames_dear_to_read,
    "half frames": half_frames,
    "lines without end": lines_without_end,
    "garbage": garbage,
    "silent connections": silent_connections,
    "unread replies": unread_replies,
    "messages": a_flood_of_messages,
    "sessions": a_flood_of_sessions,
    "texts": messages_dear_to_read,
    "documents": documents_dear_to_read,
    "files": files_that_are_none,
}


ALL = (*KINDS, "server")


async def attacked(kind: str, place: Path, *, asking: bool = False) -> House:
    """The house after an attack of this kind; its daemon was stopped.

    With `asking`, somebody else asks all the time, and before the attack as often, for comparison.
    """
    hostile = HostileServer()
    async with hostile.server as listening:
        remote = ("--set", f"model.remote.base_url={listening.url}/v1", "--set", "model.remote.name=m")
        house = House(place, *(remote if kind == "server" else ()))
        async with house.running():
            for _ in range(IDLE_QUESTIONS if asking else 0):
                await house.ask()
            house.seen.idle, house.seen.waits = house.seen.waits, []
            async with house.asked_all_the_time() if asking else nullcontext():
                await (a_hostile_server(house, hostile) if kind == "server" else KINDS[kind](house))
    return house
