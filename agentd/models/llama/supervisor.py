"""Keeps one child with the model loaded: restarts it with back-off, and gives up in a crash loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from agentd.delivery.backoff import Backoff
from agentd.errors import ModelError
from agentd.models.llama import standing
from agentd.models.llama.answer import ChildDied
from agentd.models.llama.checks import Checks
from agentd.models.llama.process import Process
from agentd.models.llama.settings import ModelFile
from agentd.models.llama.standing import Standing
from agentd.models.llama.ways import PLAINEST
from agentd.models.llama.wire import Load, Loaded
from agentd.ports.models import Pace

log = logging.getLogger(__name__)

ModelState = Literal["loading", "ready", "failed"]
OnState = Callable[[ModelState, str], None]

RESTARTS = Backoff(first=0.5, longest=300.0)
"""Before a child that died is started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Limits for a child, in seconds: it hangs if it misses `beats` pings, one every `beat`; loading may take `load`.

    `deaths` within `window` are a crash loop, after which no child is started for `rest`. `restart` is the wait before
    the next child, by the number of deaths in the window.
    """

    beat: float = 5.0
    beats: int = 12
    load: float = 900.0
    deaths: int = 3
    window: float = 60.0
    rest: float = 300.0
    restart: Backoff = RESTARTS


class Supervisor:
    """Starts the child when it is first wanted; `close` ends it.

    If a file crashes before it ever gave a token (`prove`), it is tried once more in the plainest way. If that crashes
    too, it is set aside for all processes until the file or the build of llama.cpp changes, or it is checked again.
    """

    def __init__(self, name: str, load: Load, *, patience: Patience, on_state: OnState | None) -> None:
        self._name, self._asked, self._patience, self._on_state = name, load, patience, on_state
        self._file = load.file
        """The file that was asked for, with the way in which it has to be run."""
        self._checks = Checks(load.file.checks if load.file else None)
        self._standing = Standing()
        self._note: asyncio.Task[None] | None = None
        self._deaths: deque[float] = deque(maxlen=patience.deaths)
        self._life: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Process] | None = None
        self._refused: ModelError | None = None
        self.closed = False
        self.state: ModelState | None = None
        """None before the child was first wanted."""
        self.loaded: Loaded | None = None

    @property
    def _asked_way(self) -> str:
        return self._asked.file.way if self._asked.file else ""

    @property
    def pace(self) -> Pace | None:
        """What the child reported about its speed; None as long as there is no child."""
        ready = self._ready
        there = ready is not None and ready.done() and not ready.cancelled() and ready.exception() is None
        return ready.result().pace if ready is not None and there else None

    async def child(self) -> Process:
        """Wait for a child with the loaded model; `ModelError` if there will be none."""
        if self.closed:
            raise ModelError(f"{self._name} was closed.")
        if self._refused is not None and self._resting():
            raise ModelError(str(self._refused))
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._live(), name=f"llama supervisor of {self._name}")
        return await asyncio.shield(self._promise())

    def forgive(self) -> None:
        """Allow another start after a crash loop."""
        if self._refused is not None:
            self._deaths.clear()
            self._refused = None
        self._standing = replace(self._standing, aside="")

    def prove(self) -> None:
        """The model has given a token, so a later crash is not blamed on the way in which it is run."""
        if self._file is None or self._standing.proved:
            return
        self._standing = Standing(proved=True)
        if not self._asked_way:  # a way that was asked for says nothing about the others
            self._standing = replace(self._standing, way=self._file.way, why=self._file.why)
        self._note = asyncio.create_task(self._keep(), name=f"note that {self._name} answers")

    async def close(self) -> None:
        self.closed = True
        if self._note is not None:
            await asyncio.gather(self._note, return_exceptions=True)
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._fail(ModelError(f"{self._name} was closed."))

    def _resting(self) -> bool:
        now = asyncio.get_running_loop().time()
        return bool(self._deaths) and now < self._deaths[-1] + self._patience.rest

    async def _live(self) -> None:
        self._refused = None
        try:
            await self._look_up()
            self._tell("loading", "")
            while self._refused is None:
                await self._one_child()
        except ModelError as error:
            self._fail(error)
        except Exception:
            log.exception("the supervisor of %s failed", self._name)
            self._fail(ModelError(f"{self._name} cannot be run: an error in agentd; its log has the details."))
            raise

    async def _look_up(self) -> None:
        """Look up what is known about the file; `ModelError` if it was set aside."""
        file = self._asked.file
        if file is None:
            return
        if file.checks is not None:
            self._standing = await asyncio.to_thread(standing.read, self._checks, file.path)
        if self._standing.aside:
            raise ModelError(self._standing.aside)
        self._file = file
        if self._standing.way and not self._asked_way:
            self._file = replace(file, way=self._standing.way, why=self._standing.why)

    async def _keep(self) -> None:
        assert self._file is not None
        await asyncio.to_thread(standing.write, self._checks, self._file.path, self._standing)

    async def _one_child(self) -> None:
        try:
            async with Process(beat=self._patience.beat, beats=self._patience.beats) as process:
                began = asyncio.get_running_loop().time()
                self.loaded = await self._load_in(process)
                log.info("%s is ready after %.1f s", self._name, asyncio.get_running_loop().time() - began)
                self._tell("ready", " ".join(filter(None, (*self.loaded.notes, self.loaded.switched_off))))
                self._promise().set_result(process)
                reason = await process.ended()
        except ChildDied as died:
            reason = str(died)
        if process.fault and self._file is not None and not self._standing.proved:
            await self._after_first_crash(self._file, await process.ended())
        else:
            await self._after_death(reason)

    async def _load_in(self, process: Process) -> Loaded:
        try:
            async with asyncio.timeout(self._patience.load):
                return await process.load(self._asked.model_copy(update={"file": self._file}))
        except TimeoutError:
            raise ModelError(
                f"{self._name} did not load within {self._patience.load:g} s; choose a smaller model."
            ) from None

    def _promise(self) -> asyncio.Future[Process]:
        """What callers wait for: a child, or the failure to start one. A new one is made after a failure or a death."""
        ready = self._ready
        if ready is None or (ready.done() and (ready.exception() is not None or not ready.result().alive)):
            ready = self._ready = asyncio.get_running_loop().create_future()
        return ready

    async def _after_first_crash(self, file: ModelFile, reason: str) -> None:
        """The file never gave a token: try the plainest way next; after that, `ModelError`."""
        log.warning("the process of model %s is gone before its first word: %s", self._name, reason)
        if not file.way:
            self._file = replace(file, way=PLAINEST.name, why=reason)
            self._tell("loading", f"its process is gone ({reason}) and is restarted in the plainest way")
            return
        if self._asked_way:
            raise ModelError(f"{self._name} crashed before its first word: {reason}.")
        aside = (
            f"{self._name} crashed before its first word, even in the plainest way ({reason}), and is set aside; choose"
            f" another model (`agentd model list`), or try this one again: `agentd model check {file.path}`."
        )
        self._standing = Standing(aside=aside)
        await self._keep()
        raise ModelError(aside)

    async def _after_death(self, reason: str) -> None:
        log.error("the process of model %s is gone: %s", self._name, reason)
        now = asyncio.get_running_loop().time()
        self._deaths.append(now)
        recent = sum(death > now - self._patience.window for death in self._deaths)
        if recent >= self._patience.deaths:
            error = ModelError(
                f"{self._name} crashed {recent} times within {self._patience.window:g} s and is not started again for"
                f" {self._patience.rest:g} s (the last time {reason}). Choose another model, or ask again later;"
                " the log of `agentd run` shows its last output."
            )
            self._refused = error
            self._fail(error)
            return
        self._tell("loading", f"its process is gone ({reason}) and is restarted")
        await asyncio.sleep(self._patience.restart.ceiling(recent - 1))

    def _fail(self, error: ModelError) -> None:
        promise = self._promise()
        promise.set_exception(error)
        promise.exception()  # marked as seen, because perhaps nobody waits
        if not self.closed:
            self._tell("failed", str(error))

    def _tell(self, state: ModelState, reason: str) -> None:
        self.state = state
        if self._on_state is not None:
            self._on_state(state, reason)
