"""Requests in, events out, one step at a time on one thread: joins the prompts, the decoder and the generations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from agentd.errors import ModelError
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.decoder import decoder_of
from agentd.models.llama.driver import Driver
from agentd.models.llama.family import COMMON
from agentd.models.llama.generating import Generations
from agentd.models.llama.grammar import Grammars
from agentd.models.llama.job import Span
from agentd.models.llama.kept import Kept
from agentd.models.llama.prompts import Prompts
from agentd.models.llama.settings import EngineSettings
from agentd.models.llama.speech import Outbox, Speech
from agentd.models.llama.steps import StepSize
from agentd.models.llama.template import Template
from agentd.models.llama.text import Assembler
from agentd.models.llama.waiting import Waiting
from agentd.models.llama.warmth import Warmth
from agentd.models.llama.wire import Cancel, Count, Counted, FromChild, Generate, Refused, Warm, Warmed


class Engine:
    """Feed it messages, and call `step` while it is `busy`; it passes its own messages to `send`."""

    def __init__(
        self,
        driver: Driver,
        template: Template,
        settings: EngineSettings,
        kept: Kept,
        *,
        send: Callable[[FromChild], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        decoder = decoder_of(driver, settings)
        self._driver, self._scheduler, self._cache = driver, decoder.scheduler, decoder.cache
        self._template = template
        self._prompts = Prompts(template, driver.vocabulary, driver)
        self._grammars = Grammars(driver.vocabulary)
        self._guesses = settings.guess and not driver.whole_only
        self._clock = clock
        self._outbox = Outbox(send)
        self._waiting = Waiting(self._outbox.send, kept.speeds, clock)
        self._generations = Generations(decoder, self._outbox, self._waiting, kept.speeds, clock)
        self._warmth = Warmth(decoder, kept)
        self._size = StepSize(kept.speeds.pace.read)

    @property
    def busy(self) -> bool:
        return self._generations.busy or self._warmth.busy

    # --- Messages ----------------------------------------------------------------------------------------------------

    def handle(self, message: Generate | Count | Warm | Cancel) -> None:
        match message:
            case Cancel():
                self._warmth.cancel(message.id)
                self._generations.cancel(message.id)
            case _:
                try:
                    self._begin(message)
                except ModelError as error:
                    self._outbox.send(Refused(id=message.id, reason=str(error)))

    def _begin(self, message: Generate | Count | Warm) -> None:
        match message:
            case Generate():
                self._generate(message)
            case Count():
                count = self._prompts.count(message.messages, message.tools)
                self._outbox.send(Counted(id=message.id, tokens=count))
            case Warm():
                if tokens := self._prompts.beginning(message.messages, message.tools):
                    self._warmth.want(message.id, tokens)
                else:
                    self._outbox.send(Warmed(id=message.id, tokens=0))

    def _generate(self, message: Generate) -> None:
        self._outbox.flush()  # the next step may take longer than the last ones
        prompt = self._prompts.read(message.messages, message.tools)
        grammar = None if message.answer_schema is None else self._grammars.grammar(message.answer_schema)
        self._warmth.pause()
        self._generations.begin(message, prompt, self._speech(message, reasoning=prompt.reasoning), grammar)

    def _speech(self, message: Generate, *, reasoning: bool) -> Speech:
        template = self._template
        stop = (*message.stop, *template.stop)
        finder = None
        if message.tools:
            offered = {tool.name: tuple(tool.parameters.get("properties") or ()) for tool in message.tools}
            finder = CallFinder(template.family or COMMON, offered)
        return Speech(Assembler(stop=stop, reasoning=reasoning, think=template.think), finder)

    # --- A step ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Place what can be placed, run one batch, and tell what came of it."""
        if not self._generations.busy:
            if warmed := self._warmth.step(self._size.ahead):
                self._outbox.send(warmed)
            return
        while (placement := self._scheduler.admit()) is not None:
            self._cache.place(placement)
            self._generations.hurry()
            self._waiting.placed(placement.job, self._scheduler.running)
        self._waiting.queued(self._scheduler.waiting)
        if spans := self._plan():
            self._run(spans)

    def _plan(self) -> list[Span]:
        size = self._size
        return self._scheduler.plan(
            longest=size.longest,
            lone=size.lone,
            guess=self._generations.guess,
            guesses=size.guesses if self._guesses else 0,
        )

    def _run(self, spans: Sequence[Span]) -> None:
        start = self._clock()
        outcome = self._driver.decode(spans)
        if outcome == "full" and any(span.guessed for span in spans):
            spans = [replace(span, tokens=span.tokens[: len(span.tokens) - span.guessed], guessed=0) for span in spans]
            outcome = self._driver.decode(spans)
        jobs = [self._scheduler.job_of(span) for span in spans]
        if outcome == "done":
            self._size.learn(sum(len(span.tokens) for span in spans), self._clock() - start)
            self._scheduler.decoded(spans)
            self._generations.read(jobs, start)
            self._waiting.read(jobs, start)
            self._cache.store_checkpoints(spans)
            self._generations.take(spans, jobs)
        elif outcome == "full":
            if not self._cache.make_room():
                self._generations.no_room(jobs[0])
        else:
            for job in jobs:
                self._generations.refuse(job, "llama.cpp refused to continue this answer; ask again.")
