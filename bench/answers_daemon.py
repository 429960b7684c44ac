"""A separate daemon on a temporary state directory, asked over its socket like any daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.ways import allowed
from agentd.records import OWNER, Passage
from agentd.retrieval.search import KeywordSearch
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.storage.store import Store, load_migrations

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 900.0


class DaemonFailed(Exception):
    """The daemon did not start; the message has the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """An answer as a client saw it; the seconds count from the moment when the question was sent.

    `first_text` is when the final text began: text that a later attempt voided does not count.
    """

    text: str
    outcome: str
    model: str
    cited: tuple[str, ...]
    found: tuple[str, ...]
    prompt_tokens: int
    first_text: float
    seconds: float


class Asking:
    """A client of a running daemon that asks one question after the other."""

    def __init__(self, client: Client, documents: KeywordSearch, state: Path) -> None:
        self._client = client
        self._state = state
        self._documents = documents

    async def ingest(self, place: Path) -> None:
        async for _ in self._client.ingest([place]):
            pass

    async def passages(self, question: str, limit: int) -> Sequence[Passage]:
        """The passages that our retrieval finds, whatever the daemon does with them."""
        return await self._documents.search(question, OWNER, limit=limit)

    def way(self, model: Path) -> str:
        """The name of the way in which llama.cpp computes with this model here; "" if it is not known yet."""
        kept = Checks(Shelf(self._state).directory / checks.NAME)
        types = files.inspect(model).types
        found = verdict.kept(kept, types, allowed(gpu=False)) or verdict.kept(kept, types, allowed(gpu=True))
        return found.way.name if found and found.way else ""

    async def session(self) -> str:
        return (await self._client.open()).session

    async def ask(self, question: str, *, session: str = "", only_first: bool = False) -> Said:
        """The whole answer, in a session of its own unless one is named; if wanted, stopped at its first text."""
        # A connection can follow only so many sessions, and each question has one of its own.
        async with await _connected(self._state) as client:
            session = (await client.open(session or None)).session
            return await self._answer(client, session, question, only_first=only_first)

    async def _answer(self, client: Client, session: str, question: str, *, only_first: bool) -> Said:
        start = time.perf_counter()
        turn = (await client.post(session, question)).turn
        found: tuple[str, ...] = ()
        first, attempt, stopped = 0.0, 0, False
        async with asyncio.timeout(ANSWER_SECONDS):
            async for message in client.messages():
                if getattr(message, "turn", "") != turn:
                    continue
                now = time.perf_counter() - start
                match message:
                    case protocol.State() if message.attempt > attempt:
                        attempt, first = message.attempt, 0.0
                    case protocol.Found():
                        found = tuple(dict.fromkeys(Path(place.source).name for place in message.citations))
                    case protocol.Chunk() if message.text.strip() and not message.reasoning and not first:
                        first = now
                        if only_first and not stopped:
                            stopped = await client.stop(session)
                    case protocol.Answer():
                        await client.ack(message.id)
                        return _said(message, found, first or now, now)
        raise DaemonFailed("the daemon closed the connection.")


def _said(answer: protocol.Answer, found: tuple[str, ...], first: float, seconds: float) -> Said:
    return Said(
        text=answer.text,
        outcome=answer.outcome,
        model=answer.model,
        cited=tuple(dict.fromkeys(Path(place.source).name for place in answer.citations)),
        found=found,
        prompt_tokens=answer.usage.prompt_tokens if answer.usage else 0,
        first_text=first,
        seconds=seconds,
    )


@asynccontextmanager
async def daemon(place: Path, model: Path | None, settings: Sequence[str]) -> AsyncIterator[Asking]:
    """A daemon with its state in `place`, the model in a file or the extractive one, and further settings."""
    state = place / "state"
    command = [sys.executable, "-m", "agentd", "run", "--config", os.devnull, "--state-dir", str(state)]
    chosen = ("--model", str(model)) if model else ("--set", 'model.order=["extractive"]')
    command += [*chosen, *(word for setting in settings for word in ("--set", setting))]
    command += ["--set", "channels.websocket.enabled=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTD_")}
    with _log(place) as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment
        )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, process)
        if not await _is_ready(process):
            raise DaemonFailed(f"the daemon did not become ready; its log ends with:\n{_end_of_log(place)}")
        client = await stack.enter_async_context(await _connected(state))
        store = await stack.enter_async_context(Store(state / "documents.db", load_migrations("agentd.retrieval")))
        yield Asking(client, KeywordSearch(store), state)


async def _connected(state: Path) -> Client:
    return await Client.connect(state / "agentd.sock", name="bench", acks=True)


def _log(place: Path) -> IO[bytes]:
    place.mkdir(parents=True, exist_ok=True)
    return (place / "log").open("ab")


def _end_of_log(place: Path) -> str:
    return "\n".join((place / "log").read_text("utf-8", "replace").splitlines()[-5:])


async def _is_ready(process: asyncio.subprocess.Process) -> bool:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            return b"agentd is ready" in await process.stdout.readline()
    except TimeoutError:
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
