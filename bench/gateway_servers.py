"""The servers of the gateway's benchmark: agentd with a model that keeps a beat, and a bare WebSocket beside it.

`python -m bench.gateway_servers ours STATE_DIR` and `python -m bench.gateway_servers bare` print the port as their
first line and serve until their standard input ends. A question is "COUNT RATE": as many pieces, so many of them in a
second, each with the time at which it was sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response, WebSocket

from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.ports.generation import Delta, Finish, ModelRequest, TextDelta
from agentd.testing.model import question_of

BUDGET = {"connections": 5000, "newcomers": 100_000, "followed": 50_000, "questions": 100_000}
"""What the owner may hold in the benchmark; the defaults are for one person."""
SETTINGS = {
    "budgets": {"owner": BUDGET},
    "agent": {"concurrency": 2000, "queue_limit": 10_000},
    "channels": {"websocket": {"port": 0, "requests_per_minute": 0, "questions_per_minute": 0}},
}


async def beats(count: int, rate: float) -> AsyncIterator[str]:
    """The pieces of an answer, each when it is due: a late one does not hold up the next."""
    began = time.monotonic()
    for n in range(count):
        await asyncio.sleep(began + n / rate - time.monotonic())
        yield f"t{time.monotonic_ns()} "


class Beat:
    """Implements `ports.ChatModel`: says the time, as often as the question says."""

    name = "beat"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        count, rate = question_of(request).split()
        async for text in beats(int(count), float(rate)):
            yield TextDelta(text=text)
        yield Finish(reason="stop")

    async def count_tokens(self, request: ModelRequest) -> int:
        return 1


async def ours(state: Path) -> None:
    """A daemon with the gateway."""
    daemon = Daemon(Settings.model_validate(SETTINGS), state, sockets=[(state / "agentd.sock", 0o600)], model=Beat())
    stop = asyncio.Event()

    def ready() -> None:
        print(daemon.addresses["websocket"].rpartition(":")[2], flush=True)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(stop=stop, ready=ready), name="daemon")
        await asyncio.to_thread(sys.stdin.read)
        stop.set()


def bare_app() -> FastAPI:
    """The same messages without anything behind them, and an empty page."""
    app = FastAPI()

    @app.get("/")
    async def page() -> Response:
        return Response("<!doctype html><title>empty</title><p>empty", media_type="text/html")

    @app.websocket("/ws")
    async def serve(websocket: WebSocket) -> None:
        await websocket.accept()
        session = turn = f"{time.monotonic_ns():016x}-00000001"
        async for text in websocket.iter_text():
            count, rate = json.loads(text)["text"].split()
            at = 0
            async for piece in beats(int(count), float(rate)):
                cursor = {"epoch": "a1b2c3d4e5f60718", "n": at}
                chunk = {"type": "chunk", "session": session, "turn": turn, "attempt": 1, "n": at, "text": piece}
                await websocket.send_text(json.dumps({**chunk, "cursor": cursor}))
                at += len(piece)
            await websocket.send_text(json.dumps({"type": "answer", "session": session, "turn": turn}))

    return app


async def bare() -> None:
    """One uvicorn like the gateway's."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(bare_app(), ws_per_message_deflate=False, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]), name="server")
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


def main() -> None:
    match sys.argv[1:]:
        case ["ours", state]:
            asyncio.run(ours(Path(state)))
        case ["bare"]:
            asyncio.run(bare())
        case _:
            sys.exit("usage: python -m bench.gateway_servers ours STATE_DIR | bare")
    os._exit(0)  # a thread may still wait for standard input


if __name__ == "__main__":
    main()
