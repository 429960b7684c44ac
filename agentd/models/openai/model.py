"""`OpenAIModel`: a model behind an OpenAI-compatible endpoint as a `ChatModel`; what has begun is never repeated."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, AsyncOpenAI, AsyncStream, Timeout
from pydantic import SecretStr

from agentd.errors import ModelError, PromptTooLong, TimedOut
from agentd.generation import Delta, Finish, Limits, ModelRequest, QueuePosition, Reading, Usage
from agentd.models.openai.answer import Answer, NoChunk, Withheld
from agentd.models.openai.errors import Explainer, Fault
from agentd.models.openai.request import Dialect, chat_messages, completion_body, tool_specs
from agentd.models.places import Places
from agentd.models.speed import learned
from agentd.ports import Pace
from agentd.prompt import estimate_tokens

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before a request is repeated, doubled each time and drawn at random below that; a server may ask for more."""
AFTER_END = 5.0
"""Seconds that the figures may take which follow the end of an answer."""
COUNT_SECONDS = 10.0
MOST_CHARACTERS = 64
"""Of an answer for each token that it may have: a server that goes on beyond ignores the limit."""
NO_KEY = "none"
"""What is sent where no key is set: the client insists on one, and servers without keys ignore it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where the model is and how to treat it: the keys of `[model.remote]`, and whether to offer it `tools`.

    Times are in seconds, None = the request's.

    `context` is what the server has for one prompt and its answer, in tokens; None = unknown. At most `concurrency`
    requests run at once. With `pin_slots` each is sent to a slot of llama-server's of its own.
    """

    base_url: str
    name: str | None = None
    api_key: SecretStr | None = None
    dialect: Dialect = "standard"
    context: int | None = None
    tools: bool = True
    concurrency: int = 4
    pin_slots: bool = False
    retries: int = 2
    connect: float = 10.0
    first_token: float | None = None
    idle: float | None = None


class _Failed(Exception):
    """A request failed; `begun` says that some of its answer was handed on."""

    def __init__(self, fault: Fault, *, begun: bool) -> None:
        super().__init__(str(fault.error))
        self.fault = fault
        self.begun = begun


class OpenAIModel:
    """Implements `ports.ChatModel` with all abilities that have a port; `close` ends its connections."""

    writes = True
    cites = True
    """Who has a server has a model that follows a rule; agentd does not try it out at others' expense."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.tools = endpoint.tools
        secret = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self._client = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=secret or NO_KEY,
            organization="",
            project="",
            max_retries=0,
            timeout=Timeout(None, connect=endpoint.connect),
        )
        host = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
        self._name = endpoint.name
        self._host = host or endpoint.base_url
        self._explainer = Explainer(address=endpoint.base_url, model=endpoint.name or "", secret=secret)
        self._places = Places(f"The model server at {self._explainer.address}", endpoint.concurrency)
        self._context = endpoint.context
        self.pace: Pace | None = None
        """See `ports.Paced`: as the server said with its answers, or as the times of these were."""
        self._counts = endpoint.dialect in ("llama-server", "vllm")

    @property
    def name(self) -> str:
        """As it is set; else, once it was asked, the first that the server offers, and its host until then."""
        return self._name or self._host

    async def context(self, limits: Limits) -> int | None:
        """As it is set, or less, once the server has refused a prompt and said so."""
        return self._context

    async def close(self) -> None:
        await self._client.close()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """See `ChatModel.stream`. `Busy` when too many wait, `TimedOut` names the limit, `ModelUnavailable` the fault.

        A request is repeated, after a pause, only while nothing of its answer has come.
        """
        deadline = asyncio.get_running_loop().time() + request.limits.turn
        ticket = self._places.line_up(request.session_id)
        try:
            try:
                async with aclosing(self._places.positions(ticket, deadline)) as positions:
                    async for position in positions:
                        yield QueuePosition(position=position)
            except TimeoutError:
                limit = request.limits.turn
                raise TimedOut(f"{self.name} was busy with other requests for {limit:g} s; try again later.") from None
            async with aclosing(self._attempts(request, ticket.place, deadline)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._places.leave(ticket)

    async def count_tokens(self, request: ModelRequest) -> int:
        """As the server counts, where its dialect has a call for it; otherwise, or where it fails, by rule of thumb."""
        if self._counts:
            try:
                async with asyncio.timeout(COUNT_SECONDS):
                    return await self._count(request)
            except (APIError, TimeoutError, _Failed, KeyError, TypeError, ValueError) as error:
                log.info("%s does not count tokens, so they are estimated: %s", self.name, type(error).__name__)
        written = [*chat_messages(request), *tool_specs(request)]
        return sum(estimate_tokens(json.dumps(message, ensure_ascii=False)) for message in written)

    # --- one request, repeated ---

    async def _attempts(self, request: ModelRequest, place: int | None, deadline: float) -> AsyncGenerator[Delta, None]:
        attempt = 0
        while True:
            try:
                async with aclosing(self._attempt(request, place, deadline)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except _Failed as failed:
                self._learn(failed.fault.error)
                pause = self._pause(failed, attempt, deadline, request.limits)
                if pause is None:
                    raise failed.fault.error from None
                attempt += 1
                log.warning("%s: attempt %d in %.1f s", failed, attempt + 1, pause)
            await asyncio.sleep(pause)

    def _learn(self, error: ModelError) -> None:
        if isinstance(error, PromptTooLong) and error.context is not None:
            self._context = min(error.context, self._context or error.context)

    def _pause(self, failed: _Failed, attempt: int, deadline: float, limits: Limits) -> float | None:
        """Seconds until the request is repeated; None where it is not."""
        asked = failed.fault.pause
        if failed.begun or asked is None or attempt >= self._endpoint.retries:
            return None
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        pause = max(asked, random.uniform(longest / 2, longest))
        left = deadline - asyncio.get_running_loop().time()
        return pause if pause < min(left, self._first_token(limits)) else None

    async def _attempt(self, request: ModelRequest, place: int | None, deadline: float) -> AsyncGenerator[Delta, None]:
        clock = asyncio.get_running_loop().time
        started = first = clock()
        limit, problem = self._first_token(request.limits), "did not begin to answer"
        until = min(clock() + limit, deadline)
        answer, begun = Answer(), False
        stream: AsyncStream[object] | None = None
        try:
            async with asyncio.timeout_at(until):
                stream = await self._open(request, place)
            chunks = aiter(stream)
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                deltas = answer.feed(chunk)
                for delta in deltas:
                    if not begun and not isinstance(delta, Reading):
                        begun, first = True, clock()
                    yield delta
                if answer.characters > MOST_CHARACTERS * request.sampling.max_tokens:
                    yield Finish(reason="length")
                    return
                if answer.ended:
                    until = min(clock() + AFTER_END, deadline)
                elif deltas:
                    if begun:
                        limit, problem = self._endpoint.idle or request.limits.idle, "said nothing more"
                    until = min(clock() + limit, deadline)
        except TimeoutError:
            if not answer.ended:
                raise self._timed_out(request.limits, limit, problem, clock() >= deadline) from None
        except APIError as error:
            if not answer.ended:
                cut = stream is not None and isinstance(error, APIConnectionError)
                fault = self._explainer.cut_off() if cut else self._explainer.explain(error)
                raise _Failed(fault, begun=begun) from None
        except (ValueError, NoChunk) as error:
            raise _Failed(self._explainer.no_chunk(str(error)), begun=begun) from None
        except Withheld:
            raise _Failed(self._explainer.withheld(), begun=True) from None
        finally:
            if stream is not None:
                await stream.close()
        if not answer.ended:
            raise _Failed(self._explainer.cut_off(), begun=begun)
        for delta in answer.finish():
            yield self._timed(delta, first - started, clock() - first) if isinstance(delta, Usage) else delta

    def _timed(self, usage: Usage, read_seconds: float, write_seconds: float) -> Usage:
        """With the times that were measured here, unless the server told its own; the pace is learned from them."""
        if not usage.read_seconds:
            usage = replace(usage, read_seconds=read_seconds, write_seconds=write_seconds)
        pace = learned(
            self.pace or Pace(read=0.0, write=0.0),
            read=usage.prompt_tokens - usage.cached_tokens,
            read_seconds=usage.read_seconds,
            written=usage.completion_tokens - 1,
            write_seconds=usage.write_seconds,
        )
        self.pace = pace if pace.read else None
        return usage

    async def _open(self, request: ModelRequest, place: int | None) -> AsyncStream[object]:
        body = completion_body(
            request,
            model=await self._model(),
            dialect=self._endpoint.dialect,
            slot=place if self._endpoint.pin_slots else None,
        )
        # `object` leaves the chunks as the JSON that they are: the client's own types do not check what came.
        return await self._client.post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=AsyncStream[object]
        )

    async def _model(self) -> str:
        """The name to ask for; the server's first where none is set."""
        if self._name is None:
            offered: Any = await self._client.get("/models", cast_to=object)
            models = offered.get("data") if isinstance(offered, dict) else None
            first = models[0] if isinstance(models, list) and models else None
            name = first.get("id") if isinstance(first, dict) else None
            if not isinstance(name, str) or not name:
                raise _Failed(self._explainer.no_model(), begun=False)
            self._name = self._explainer.model = name
        return self._name

    def _first_token(self, limits: Limits) -> float:
        return self._endpoint.first_token or limits.first_token

    def _timed_out(self, limits: Limits, limit: float, problem: str, turn: bool) -> TimedOut:
        if turn:
            limit, problem = limits.turn, "did not end its answer"
        return TimedOut(f"{self.name} at {self._explainer.address} {problem} within {limit:g} s and was stopped.")

    # --- counting ---

    async def _count(self, request: ModelRequest) -> int:
        """llama-server: tools/server/README.md; vLLM: its page on the OpenAI-compatible server, Tokenizer API."""
        messages, tools = chat_messages(request), tool_specs(request)
        asked: dict[str, Any] = {"messages": messages, **({"tools": tools} if tools else {})}
        if self._endpoint.dialect == "vllm":
            counted = await self._ask("/tokenize", {"model": await self._model(), **asked})
            return int(counted["count"])
        rendered = await self._ask("/apply-template", asked)
        content = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
        return len((await self._ask("/tokenize", content))["tokens"])

    async def _ask(self, path: str, body: dict[str, Any]) -> Any:
        """One of the calls that lie beside `/v1`, not below it."""
        root = self._endpoint.base_url.rstrip("/").removesuffix("/v1")
        return await self._client.post(f"{root}{path}", cast_to=object, body=body)
