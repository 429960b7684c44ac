"""`OpenAIModel`: a model behind an OpenAI-compatible endpoint. An answer that has begun is never repeated."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from agentd.delivery.backoff import Backoff
from agentd.errors import PromptTooLong, TimedOut
from agentd.evidence.passages import estimate_tokens
from agentd.models.openai.answer import Answer, ServerFailed, Withheld, runs
from agentd.models.openai.habits import Habits, adapted
from agentd.models.openai.lenient import mapping, tokens
from agentd.models.openai.patience import Patience
from agentd.models.openai.request import chat_messages, completion_body, tool_specs
from agentd.models.openai.server import Endpoint, Failed, Server
from agentd.models.openai.stream import Events
from agentd.models.slots import Slots
from agentd.models.speed import learned
from agentd.ports.generation import Delta, Limits, ModelRequest, QueuePosition, Reading, Usage
from agentd.ports.models import Pace
from agentd.text.plain import plain

log = logging.getLogger(__name__)

PAUSES = Backoff(first=0.5, longest=8.0, certain=0.5)
"""Before a request is repeated; a server may ask for a longer pause."""
TO_CLOSE = 0.1
"""Seconds in which a server must end its reply after the last event, so that the connection can be reused."""
COUNT_SECONDS = 10.0
MOST_CHARACTERS = 64
"""Characters of an answer for each token that it may have; a server that sends more ignores the limit."""
LEAST_LINE, MOST_LINE = 512 * 1024, 4 * 1024 * 1024
"""Bytes of a line, and of an event; it may hold a complete answer, with up to six bytes for a character."""
LEAST_ANSWER, FOR_A_TOKEN = 2 * 1024 * 1024, 4 * 1024
"""Bytes of an answer, and of each of its tokens, with everything that servers add."""
AT_ONCE = 64
"""Lines of an answer that are read before other tasks run."""
MOST_FORMS = 16
"""How often a question is asked in another form because of what a server refuses."""


class OpenAIModel:
    """Implements `ports.ChatModel` and the ports of all further abilities; `close` ends its connections."""

    writes = True
    cites = True
    """Models on servers are assumed to follow the rule for citing; agentd does not try that out at others' expense."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._server = Server(endpoint)
        self._explainer = self._server.explainer
        self._habits = Habits(fixed=endpoint.name, context=endpoint.context)
        self._slots = Slots(f"The model server at {self._explainer.address}", endpoint.concurrency)
        self.pace: Pace | None = None
        """See `ports.Paced`: from the figures that the server sends, or from the times of its answers."""
        self._counts = endpoint.dialect in ("llama-server", "vllm")
        self._rng = random.Random()

    @property
    def tools(self) -> bool:
        """As it is set, until the server refuses tools."""
        return self._endpoint.tools and "tools" not in self._habits.refused

    @property
    def name(self) -> str:
        """The name that is set; else the chosen one of the server's models, or the host as long as none is chosen."""
        return plain(self._habits.name or urlsplit(self._explainer.address).netloc or self._explainer.address)

    async def context(self, limits: Limits) -> int | None:
        """As it is set, or less if the server has refused a prompt and named its context."""
        return self._habits.context

    async def close(self) -> None:
        await self._server.close()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """See `ChatModel.stream`. `Busy` if too many wait; `TimedOut` names the limit, `ModelUnavailable` the fault.

        A request is repeated, after a pause, only if nothing of its answer has arrived.
        """
        deadline = asyncio.get_running_loop().time() + request.limits.turn
        ticket = self._slots.enter(request.session_id)
        try:
            try:
                async with aclosing(self._slots.positions(ticket, deadline)) as positions:
                    async for position in positions:
                        yield QueuePosition(position=position)
            except TimeoutError:
                limit = request.limits.turn
                raise TimedOut(f"{self.name} was busy with other requests for {limit:g} s; try again later.") from None
            async with aclosing(self._attempts(request, ticket.slot, deadline)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._slots.leave(ticket)

    async def count_tokens(self, request: ModelRequest) -> int:
        """As the server counts, if its dialect has a call for that; an estimate if it has none or the call fails."""
        if self._counts:
            try:
                async with asyncio.timeout(COUNT_SECONDS):
                    return await self._count(request)
            except (TimeoutError, Failed, KeyError, TypeError, ValueError) as error:
                log.info("%s does not count tokens, so they are estimated: %s", self.name, type(error).__name__)
        written = [*chat_messages(request), *tool_specs(request)]
        return sum(estimate_tokens(json.dumps(message, ensure_ascii=False)) for message in written)

    # --- one request, repeated ---

    async def _attempts(self, request: ModelRequest, slot: int | None, deadline: float) -> AsyncGenerator[Delta, None]:
        attempt = forms = 0
        while True:
            body: dict[str, Any] = {}
            try:
                body = await self._body(request, slot)
                async with aclosing(self._attempt(request, body, deadline)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except Failed as failed:
                if forms < MOST_FORMS and self._learn(failed, body):
                    forms += 1
                    continue
                if (pause := self._pause(failed, attempt, deadline, request.limits)) is None:
                    raise failed.fault.error from None
                attempt += 1
                log.warning("%s: attempt %d in %.1f s", failed, attempt + 1, pause)
            await asyncio.sleep(pause)

    def _learn(self, failed: Failed, body: dict[str, Any]) -> bool:
        """Whether the server's refusal shows another form in which to ask."""
        error, refusal = failed.fault.error, failed.fault.refusal
        if isinstance(error, PromptTooLong):
            if error.context is not None:
                self._habits.learn_context(error.context)
            return False
        return refusal is not None and not failed.begun and self._habits.learn(refusal, body)

    def _pause(self, failed: Failed, attempt: int, deadline: float, limits: Limits) -> float | None:
        """Seconds until the request is repeated; None if it is not repeated."""
        asked = failed.fault.pause
        if failed.begun or asked is None or attempt >= self._endpoint.retries:
            return None
        pause = max(asked, PAUSES.drawn(attempt, self._rng))
        left = deadline - asyncio.get_running_loop().time()
        return pause if pause < min(left, self._first_token(limits)) else None

    async def _attempt(
        self, request: ModelRequest, body: dict[str, Any], deadline: float
    ) -> AsyncGenerator[Delta, None]:
        clock = asyncio.get_running_loop().time
        started = first = clock()
        patience = self._patience(request.limits, deadline)
        answer = Answer(MOST_CHARACTERS * request.sampling.max_tokens, thinks=self._habits.thinks)
        events = Events(most=_longest_line(request.sampling.max_tokens))
        begun = False
        try:
            async with aclosing(self._values(body, events, patience, request.sampling.max_tokens)) as values:
                async for some in values:
                    fed, said = answer.fed, False
                    for delta in runs(answer.all(some)):
                        said = True
                        if not begun and not isinstance(delta, Reading):
                            begun, first = True, clock()
                        yield delta
                    if answer.full:
                        break
                    if answer.fed > fed:
                        patience.went_on(begun=begun, ended=answer.ended, said=said)
        except TimeoutError:
            if not (answer.ended or events.done):
                raise self._timed_out(patience) from None
        except Failed as failed:
            if not (answer.ended or events.done):
                raise Failed(failed.fault, begun=begun) from None
        except ServerFailed as failed:
            raise Failed(self._explainer.failed(failed.body), begun=begun) from None
        except ValueError as error:
            raise Failed(self._explainer.no_chunk(str(error)), begun=begun) from None
        except Withheld:
            raise Failed(self._explainer.withheld(), begun=True) from None
        self._check_whole(answer, events, begun=begun)
        for delta in answer.finish():
            yield self._timed(delta, first - started, clock() - first) if isinstance(delta, Usage) else delta
        self._habits.thinks = answer.thinks

    def _check_whole(self, answer: Answer, events: Events, *, begun: bool) -> None:
        """`Failed` if the answer is not complete."""
        if answer.full or answer.ended or (answer.spoken and (events.done or events.single)):
            return
        if answer.spoken or not events.found:
            raise Failed(self._explainer.cut_off(), begun=begun)
        raise Failed(self._explainer.no_chunk(events.odd or "its reply contains no answer"), begun=begun)

    async def _values(
        self, body: dict[str, Any], events: Events, patience: Patience, max_tokens: int
    ) -> AsyncGenerator[Iterable[object], None]:
        """The JSON values of an answer as they arrive, some at a time; `TimeoutError` if a limit has passed.

        However fast a server sends, the event loop runs other tasks after `AT_ONCE` lines.
        """
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(patience.until):
                reply = await stack.enter_async_context(self._server.complete(body, longest_wait=patience.longest))
            coming = reply.lines(LEAST_ANSWER + FOR_A_TOKEN * max_tokens, longest=_longest_line(max_tokens))
            pieces = await stack.enter_async_context(aclosing(coming))
            while True:
                async with asyncio.timeout_at(patience.until):
                    lines = await anext(pieces, None)
                came = lines or []
                for start in range(0, len(came), AT_ONCE):
                    yield (value for line in came[start : start + AT_ONCE] for value in events.feed(line))
                    await asyncio.sleep(0)
                if events.done:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(TO_CLOSE):
                            lines = await anext(pieces, None)
                if lines is None or events.done:
                    break
        yield events.finish()

    def _timed(self, usage: Usage, read_seconds: float, write_seconds: float) -> Usage:
        """The usage with times: the server's, or else those measured here; the pace is learned from them."""
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

    async def _body(self, request: ModelRequest, slot: int | None) -> dict[str, Any]:
        body = completion_body(
            request,
            model=await self._model(),
            dialect=self._endpoint.dialect,
            slot=slot if self._endpoint.pin_slots else None,
        )
        return adapted(body, self._habits.refused)

    async def _model(self) -> str:
        """The name to ask for."""
        name = self._habits.name or self._habits.choose(await self._server.models())
        if name is None:
            raise Failed(self._explainer.no_model())
        return name

    def _first_token(self, limits: Limits) -> float:
        return self._endpoint.first_token or limits.first_token

    def _patience(self, limits: Limits, deadline: float) -> Patience:
        idle = self._endpoint.idle or limits.idle
        return Patience(first=self._first_token(limits), idle=idle, turn=limits.turn, deadline=deadline)

    def _timed_out(self, patience: Patience) -> TimedOut:
        return TimedOut(f"{self.name} at {self._explainer.address} {patience.problem} and was stopped.")

    # --- counting ---

    async def _count(self, request: ModelRequest) -> int:
        """llama-server: tools/server/README.md; vLLM: its page on the OpenAI-compatible server, Tokenizer API."""
        messages, tools = chat_messages(request), tool_specs(request)
        asked: dict[str, Any] = {"messages": messages, **({"tools": tools} if tools else {})}
        if self._endpoint.dialect == "vllm":
            counted = await self._server.call("/tokenize", {"model": await self._model(), **asked})
            return _figure(tokens(mapping(counted).get("count")))
        rendered = await self._server.call("/apply-template", asked)
        content = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
        return _figure(len((await self._server.call("/tokenize", content))["tokens"]))


def _figure(counted: int) -> int:
    """`ValueError` for 0, which no prompt has."""
    if not counted:
        raise ValueError("the server counts nothing")
    return counted


def _longest_line(max_tokens: int) -> int:
    return min(MOST_LINE, LEAST_LINE + 6 * MOST_CHARACTERS * max_tokens)
