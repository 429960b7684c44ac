"""A short trial of what a model does with tools and passages; it is used only for what it did in the trial.

There are three questions with tools on offer, one of which needs none, and one question with two passages to cite. The
result is kept with the other findings about the file, until the file or the questions change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agentd.errors import AgentdError, ToolError
from agentd.evidence.call_forms import looks_like_call
from agentd.models.llama.checks import Checks, of_file
from agentd.ports.generation import Delta, Limits, ModelRequest, Restarted, Sampling, TextDelta, ToolCallDelta, ToolSpec
from agentd.records import Passage
from agentd.tools.arithmetic import evaluate
from agentd.tools.registry import built_in_specs
from agentd.turns.prompt import Draft

log = logging.getLogger(__name__)

_LAST_LINE = "kqzvtm"
"""The same in every trial, so that a kept result is found again."""
KIND = "calls"
"""The kind of the findings in `Checks`."""
QUIET = 3.0
"""Seconds without a question before the trial begins, and before it begins again."""
MOST_TOKENS = 64
SUM, TIME, GREETING = "What is 48.5 * 37 - 12?", "What time is it now?", "Say hello."
_RESULT = "1782.5"
_FERRY, _TICKET = (
    "The ferry to the island leaves at 9:40 and at 14:15.",
    "A ticket costs 12 euros; children pay half.",
)
_PRICE = "How much is a ticket?"
_CITATION = re.compile(r"\[(\d+)\]")


class Tried(Protocol):
    """What the trial needs of a model."""

    @property
    def knows_tools(self) -> bool:
        """Whether its template has a form for tools."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a model did: how many of two tools it `called` correctly, and whether it answered a greeting without tools.

    `knows` says that its template has a form for calls, `cites` that it cited the right passage for what it said.
    """

    knows: bool
    called: int
    left_alone: bool
    cites: bool

    @property
    def tools(self) -> bool:
        """Whether it may be offered tools."""
        return self.knows and self.called == 2 and self.left_alone

    @property
    def citing(self) -> str:
        """Who cites, in words."""
        return "by the model" if self.cites else "by agentd, sentence by sentence"

    @property
    def calling(self) -> str:
        """What it did with tools, in words."""
        if not self.knows:
            return "its chat template has no form for tool calls"
        alone = "none" if self.left_alone else "one"
        return f"in a trial it called {self.called} of 2 tools correctly, and {alone} when none was needed"


async def probe(model: Tried, checks: Checks, path: Path) -> Probed:
    """Try it now, and keep the result; raises like `ChatModel.stream`."""
    found = await _try(model)
    await asyncio.to_thread(_keep, checks, path, found)
    log.info("%s: %s; it %s", path.name, found.calling, "cites passages" if found.cites else "does not cite passages")
    return found


def known(checks: Checks, path: Path) -> Probed | None:
    """The result of an earlier trial of this file, None if there was none; reads from the disk."""
    try:
        finding = checks.get(KIND, _about(path))
        return None if finding is None else Probed(**finding)
    except (OSError, TypeError):
        return None


def _keep(checks: Checks, path: Path, found: Probed) -> None:
    try:
        checks.put(KIND, _about(path), dataclasses.asdict(found))
    except OSError as error:
        log.warning("the result of the trial of %s cannot be kept: %s", path.name, error)


def _about(path: Path) -> str:
    return f"{of_file(path)} {_digest()}"


def _digest() -> str:
    """Changes with every change of what the trial says or asks."""
    asked = [repr((request.messages, request.tools)) for request in (*_tool_requests(), _citing_request())]
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()[:12]


# --- The trial -------------------------------------------------------------------------------------------------------


async def _try(model: Tried) -> Probed:
    called, left_alone = 0, True
    if model.knows_tools:
        summing, telling, greeting = _tool_requests()
        called = int(_fits_sum(await _reply(model, summing))) + int(_fits_time(await _reply(model, telling)))
        left_alone = _is_text(await _reply(model, greeting))
    cites = _cites(await _reply(model, _citing_request()))
    return Probed(knows=model.knows_tools, called=called, left_alone=left_alone, cites=cites)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    text: str
    calls: tuple[tuple[str, str], ...]


def _tool_requests() -> tuple[ModelRequest, ModelRequest, ModelRequest]:
    tools = built_in_specs()
    summing, telling, greeting = (
        _request(Draft(question=question, tools=True), tools) for question in (SUM, TIME, GREETING)
    )
    return summing, telling, greeting


def _citing_request() -> ModelRequest:
    found: dict[str, Any] = {"document_id": 1, "source": "island.txt", "score": 1.0}
    passages = [
        Passage(n=n, title="Island", chunk_id=n, start=0, end=len(text), text=text, **found)
        for n, text in enumerate((_FERRY, _TICKET), start=1)
    ]
    return _request(Draft(question=_PRICE, passages=passages, cites=True, mark=_LAST_LINE))


def _request(draft: Draft, tools: tuple[ToolSpec, ...] = ()) -> ModelRequest:
    return ModelRequest(
        messages=draft.messages(),
        session_id="trial",
        turn_id="trial",
        tools=tools,
        sampling=Sampling(temperature=0, seed=0, max_tokens=MOST_TOKENS),
        limits=Limits(),
        priority="background",
    )


async def _reply(model: Tried, request: ModelRequest) -> _Reply:
    text: list[str] = []
    calls: dict[int, tuple[str, str]] = {}
    async with aclosing(model.stream(request)) as deltas:
        async for delta in deltas:
            match delta:
                case TextDelta():
                    text.append(delta.text)
                case ToolCallDelta():
                    name, arguments = calls.get(delta.index, ("", ""))
                    calls[delta.index] = (name or delta.name, arguments + delta.arguments)
                case Restarted():
                    text.clear()
                    calls.clear()
    return _Reply(text="".join(text).strip(), calls=tuple(calls.values()))


def _fits_sum(reply: _Reply) -> bool:
    arguments = _of_call(reply, "calculate")
    try:
        return arguments is not None and evaluate(str(arguments["expression"])) == evaluate(_RESULT)
    except (ToolError, KeyError):
        return False


def _fits_time(reply: _Reply) -> bool:
    """A call without a time zone: the question does not name one, so the model must not invent one."""
    arguments = _of_call(reply, "current_time")
    return arguments is not None and not any(arguments.values())


def _of_call(reply: _Reply, tool: str) -> dict[str, Any] | None:
    """The arguments if the reply is exactly one call, of this tool."""
    if len(reply.calls) != 1 or reply.calls[0][0] != tool:
        return None
    try:
        arguments = json.loads(reply.calls[0][1] or "{}")
    except ValueError:
        return None
    return arguments if isinstance(arguments, dict) else None


def _is_text(reply: _Reply) -> bool:
    return not reply.calls and re.search(r"\w", reply.text) is not None and not looks_like_call(reply.text)


def _cites(reply: _Reply) -> bool:
    """It says the price in a sentence, and cites the passage that has it and no other."""
    said = _CITATION.sub("", reply.text)
    return set(_CITATION.findall(reply.text)) == {"2"} and "12" in said and len(said.split()) >= 2


# --- When ------------------------------------------------------------------------------------------------------------


class Trial:
    """Tries a model after it was loaded, while nobody asks it anything; stops as soon as somebody does.

    `busy` says whether somebody does; `ended` is called after the trial. Without `checks` there is no trial.
    """

    def __init__(
        self,
        model: Tried,
        path: Path,
        checks: Checks | None,
        *,
        busy: Callable[[], bool],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._model, self._path, self._checks, self._busy = model, path, checks, busy
        self._ended = ended
        self._looked = False
        self._task: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[Probed] | None = None
        self._asked = asyncio.Event()
        self.found: Probed | None = None
        """The result; None as long as there is none."""

    async def begin(self) -> None:
        """The model is loaded: read the kept result, or begin the trial if there is none."""
        if self._looked or self._checks is None:
            return
        self._looked = True
        self.found = await asyncio.to_thread(known, self._checks, self._path)
        if self.found is None:
            self._task = asyncio.create_task(self._run(self._checks), name=f"trial of {self._path.stem}")

    async def now(self) -> Probed:
        """Try it at once, whatever is known already; raises like `ChatModel.stream`."""
        self._looked = True
        await self.close()
        self.found = await probe(self._model, self._checks or Checks(None), self._path)
        return self.found

    def give_way(self) -> None:
        """Somebody asks something: stop the trial for now."""
        self._asked.set()
        if self._attempt is not None:
            self._attempt.cancel()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, checks: Checks) -> None:
        try:
            while self.found is None:
                await self._quiet()
                self.found = await self._try_once(checks)
            self._ended()
        except AgentdError as error:
            log.warning("%s could not be tried out: %s", self._path.name, error)

    async def _quiet(self) -> None:
        """Wait until nobody has asked anything for `QUIET` seconds."""
        while True:
            self._asked.clear()
            try:
                async with asyncio.timeout(QUIET):
                    await self._asked.wait()
            except TimeoutError:
                if not self._busy():
                    return

    async def _try_once(self, checks: Checks) -> Probed | None:
        """None if somebody asked something meanwhile."""
        self._attempt = asyncio.create_task(probe(self._model, checks, self._path), name=f"try {self._path.stem}")
        try:
            await asyncio.wait({self._attempt})
            return None if self._attempt.cancelled() else self._attempt.result()
        finally:
            self._attempt.cancel()
            self._attempt = None
