"""The programs that answer: our model in its child process, llama-server, and llama-cpp-python's `Llama`."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import llama_cpp

from agentd.models.llama.model import LlamaModel
from agentd.models.llama.native import begin, model_parameters, native
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.ways import Way
from agentd.ports.generation import Message, ModelRequest, Role, Sampling, TextDelta, TextPart, Usage
from bench.apart import Apart
from bench.engine_driver import way

TEMPERATURE = 1.0
CONTEXT = 8192
SECONDS = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A conversation up to a question as (role, text); `tokens` are generated, and `begun` is set at the first."""

    session: str
    lines: Sequence[tuple[Role, str]]
    tokens: int
    temperature: float = TEMPERATURE
    may_end: bool = False
    """Whether the model may say less, as a real model does."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """An answer; `first` and `end` are seconds after the question, `pause` is the longest time between two pieces."""

    first: float
    end: float
    pause: float
    tokens: int
    text: str


class _Watch:
    """Records when the pieces of an answer come."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._start = time.perf_counter()
        self._first = self._last = self._pause = 0.0
        self._text = ""

    def heard(self, text: str) -> None:
        now = time.perf_counter() - self._start
        if self._chat.begun.is_set():
            self._pause = max(self._pause, now - self._last)
        else:
            self._first = now
            self._chat.begun.set()
        self._last = now
        self._text += text

    def said(self, tokens: int) -> Said:
        """The measurement; an error if the answer has fewer tokens than wanted."""
        if tokens != self._chat.tokens and not (self._chat.may_end and 0 < tokens < self._chat.tokens):
            asked = self._chat.tokens
            raise RuntimeError(f"{tokens} tokens came instead of {asked}, so this measurement is void")
        end = time.perf_counter() - self._start
        return Said(first=self._first, end=end, pause=self._pause, tokens=tokens, text=self._text)


Ask = Callable[[Chat], Awaitable[Said]]


@asynccontextmanager
async def ours(path: Path, *, threads: int, guess: bool = True) -> AsyncIterator[Ask]:
    settings = EngineSettings(context=CONTEXT, threads=threads, guess=guess)
    async with LlamaModel(ModelFile(path=path), settings) as model:
        await model.start()

        async def ask(chat: Chat) -> Said:
            watch, tokens = _Watch(chat), 0
            async for delta in model.stream(_request(chat)):
                match delta:
                    case TextDelta():
                        watch.heard(delta.text)
                    case Usage():
                        tokens = delta.completion_tokens
            return watch.said(tokens)

        yield ask


def _request(chat: Chat) -> ModelRequest:
    return ModelRequest(
        messages=tuple(Message(role=role, parts=(TextPart(text=text),)) for role, text in chat.lines),
        session_id=chat.session,
        turn_id=chat.session,
        sampling=Sampling(temperature=chat.temperature, max_tokens=chat.tokens, seed=hash(chat.session) % 1000),
    )


@asynccontextmanager
async def llama_server(path: Path, binary: Path, *, threads: int, chats: int) -> AsyncIterator[Ask]:
    """llama-server with the best flags for it: a slot for each chat, one cache, no copies; it computes as ours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(str(binary), "-m", str(path), "--host", "127.0.0.1", "--port", str(port), "-c", str(CONTEXT)),
        *("-np", str(chats), "--kv-unified", "--cache-ram", "0", "-t", str(threads), "-tb", str(threads)),
        *("--no-ui", "--log-disable", "--reasoning-format", "none", *flags(way(path))),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        # It may close a connection just as the next question is sent over it.
        once = httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, limits=once) as client:
            await _ready(client, process)
            yield lambda chat: _ask_server(client, chat)
    finally:
        process.kill()
        await process.wait()


def flags(chosen: Way) -> tuple[str, ...]:
    """The flags that make llama-server compute in the same way as ours."""
    return (*(() if chosen.repack else ("--no-repack",)), *(() if chosen.flash else ("--flash-attn", "off")))


async def _ready(client: httpx2.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(120):
        while process.returncode is None:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError(f"llama-server ended with exit code {process.returncode}")


async def _ask_server(client: httpx2.AsyncClient, chat: Chat) -> Said:
    body = {
        "messages": [{"role": role, "content": text} for role, text in chat.lines],
        "max_tokens": chat.tokens,
        "temperature": chat.temperature,
        "top_k": 40,
        "top_p": 0.95,
        "min_p": 0.05,
        "repeat_penalty": 1.0,
        "cache_prompt": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    watch, tokens = _Watch(chat), 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if said := "".join(choice["delta"].get("content") or "" for choice in event["choices"]):
                watch.heard(said)
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    return watch.said(tokens)


@asynccontextmanager
async def one_after_another(path: Path, *, threads: int) -> AsyncIterator[Ask]:
    """The high-level `Llama`, which takes one question at a time; it runs in a process of its own."""
    turn = asyncio.Lock()
    with await asyncio.to_thread(Apart, _llama, path, threads) as child:

        async def ask(chat: Chat) -> Said:
            start = time.perf_counter()
            async with turn:
                waited = time.perf_counter() - start
                first, text = await child.answer((chat.lines, chat.tokens, chat.temperature))
            end = time.perf_counter() - start
            return Said(first=waited + first, end=end, pause=0.0, tokens=chat.tokens, text=text)

        yield ask


def _llama(path: Path, threads: int) -> Callable[[tuple[Sequence[tuple[Role, str]], int, float]], tuple[float, str]]:
    """Yields the seconds to the first text, then the whole text."""
    begin()  # llama-cpp-python looks neither for what was compiled for this processor nor for what works on it
    chosen = way(path)
    parameters = model_parameters(chosen, 0)
    native.llama_model_default_params = lambda: parameters
    model = llama_cpp.Llama(
        str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, flash_attn=chosen.flash, verbose=False
    )

    def answer(asked: tuple[Sequence[tuple[Role, str]], int, float]) -> tuple[float, str]:
        lines, tokens, temperature = asked
        start, first, text = time.perf_counter(), 0.0, ""
        stream = model.create_chat_completion(
            messages=[{"role": role, "content": text} for role, text in lines],  # type: ignore[misc]
            max_tokens=tokens,
            temperature=temperature,
            repeat_penalty=1.0,
            stream=True,
        )
        for event in stream:
            said = event["choices"][0]["delta"].get("content", "")  # type: ignore[index, union-attr]
            first = first or (time.perf_counter() - start if said else 0.0)
            text += str(said or "")
        return first, text

    return answer
