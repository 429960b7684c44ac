"""Requests in, events out: joins scheduler, driver, template and text, one step at a time on one thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agentd.errors import ModelError
from agentd.models.llama.cache import Cache
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.checks import Checks
from agentd.models.llama.draft import Drafter
from agentd.models.llama.driver import Driver
from agentd.models.llama.grammar import Grammars
from agentd.models.llama.job import Job, Placement, Span
from agentd.models.llama.pace import Speeds
from agentd.models.llama.prompts import Prompts
from agentd.models.llama.reading import Readings
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.scheduler import BATCH, Scheduler
from agentd.models.llama.snapshots import Snapshots
from agentd.models.llama.speech import Outbox, Speech
from agentd.models.llama.spill import Spill
from agentd.models.llama.template import Template
from agentd.models.llama.text import Assembler
from agentd.models.llama.warmth import Warmth
from agentd.models.llama.wire import (
    Cancel,
    Count,
    Counted,
    Ended,
    FromChild,
    Generate,
    Paced,
    Queued,
    Refused,
    Started,
    Warm,
    Warmed,
)

LONE = 256
"""Tokens of a step that reads one prompt beside running answers: it slows them down and does not freeze them."""
GUESSES = 64
"""Guessed tokens of all answers in a step."""
LONGEST_SECONDS, LONE_SECONDS = 2.0, 0.5
"""How long a step may take on a machine that is slower than that: any step, as a cancel waits for one, and a step that
reads one prompt beside answers, or ahead for a question that may come meanwhile."""
FEWEST = 32
"""What a step may have at least, and before anything is known about the machine."""
GATHER_SECONDS = 0.01
"""What is said within this time of the last message goes out with the next: nobody sees that, and each one costs."""
UNFINISHED = "The answer did not match the schema within {} tokens; allow more tokens or ask for less."


@dataclass(slots=True)
class _Request:
    job: Job
    sampler: Sampler
    speech: Speech
    drafter: Drafter
    prompt_tokens: int
    whole: bool
    """An answer that was cut off is of no use."""
    undisturbed: bool
    """No other request ran at any time of this one."""
    position: int = 0
    read_seconds: float = 0.0
    """Of the steps that had a part of its prompt."""
    began: float = 0.0
    """When its first token came."""

    @property
    def generated(self) -> int:
        return len(self.job.tokens) - self.prompt_tokens


class Engine:
    """Feed it messages, call `step` while `busy`; what it has to tell goes to `send`."""

    def __init__(
        self,
        driver: Driver,
        template: Template,
        *,
        sequences: int,
        send: Callable[[FromChild], None],
        spill_bytes: int = 0,
        guess: bool = True,
        speeds: Speeds | None = None,
        snapshots: Snapshots | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._driver = driver
        self._template = template
        self._outbox = Outbox(send)
        self._clock = clock
        self._vocabulary = driver.vocabulary
        self._prompts = Prompts(template, driver.vocabulary, driver)
        self._grammars = Grammars(driver.vocabulary)
        spill = Spill(spill_bytes, whole_only=driver.whole_only)
        self._scheduler = Scheduler(
            slots=sequences, context=driver.context, whole_only=driver.whole_only, find=spill.find
        )
        self._cache = Cache(driver, self._scheduler, spill)
        self._guesses = guess and not driver.whole_only
        self._requests: dict[int, _Request] = {}
        self._unread: dict[int, bool] = {}
        """Requests that were placed and of whose prompts nothing was read yet, and whether they were told so."""
        self._speeds = speeds or Speeds(Checks(None), "")
        self._readings = Readings(self._outbox.send, self._speeds, clock)
        self._warmth = Warmth(
            driver, self._scheduler, self._cache, snapshots=snapshots or Snapshots(None, ""), speeds=self._speeds
        )
        self._rate = self._speeds.pace.read or None
        self._told = -math.inf

    @property
    def busy(self) -> bool:
        return bool(self._requests) or self._warmth.busy

    # --- Messages ----------------------------------------------------------------------------------------------------

    def handle(self, message: Generate | Count | Warm | Cancel) -> None:
        match message:
            case Generate():
                self._generate(message)
            case Count():
                self._count(message)
            case Warm():
                self._warm(message)
            case Cancel():
                self._warmth.cancel(message.id)
                if message.id in self._requests:
                    self._outbox.forget(message.id)
                    self._end(self._requests[message.id])

    def _count(self, message: Count) -> None:
        try:
            count = self._prompts.count(message.lines, message.tools)
        except ModelError as error:
            self._outbox.send(Refused(id=message.id, reason=str(error)))
        else:
            self._outbox.send(Counted(id=message.id, tokens=count))

    def _warm(self, message: Warm) -> None:
        try:
            tokens = self._prompts.beginning(message.lines, message.tools)
        except ModelError as error:
            self._outbox.send(Refused(id=message.id, reason=str(error)))
            return
        if tokens:
            self._warmth.want(message.id, tokens)
        else:
            self._outbox.send(Warmed(id=message.id, tokens=0))

    def _generate(self, message: Generate) -> None:
        self._outbox.flush()  # the next step may take longer than the last ones
        try:
            prompt = self._prompts.read(message.lines, message.tools)
            grammar = None if message.answer_schema is None else self._grammars.grammar(message.answer_schema)
        except ModelError as error:
            self._outbox.send(Refused(id=message.id, reason=str(error)))
            return
        job = Job(
            id=message.id,
            session=message.session,
            tokens=prompt.tokens,
            remaining=min(message.max_tokens, self._driver.context),
            priority=message.priority,
            marks=prompt.marks,
        )
        sampler = Sampler(message.choice, vocabulary=self._vocabulary, before=prompt.tokens, grammar=grammar)
        if not prompt.reasoning:
            sampler.constrain()
        self._warmth.pause()
        for other in self._requests.values():
            other.undisturbed = False
        self._requests[message.id] = _Request(
            job=job,
            sampler=sampler,
            speech=self._speech(message, reasoning=prompt.reasoning),
            drafter=Drafter(prompt.tokens),
            prompt_tokens=len(prompt.tokens),
            whole=grammar is not None,
            undisturbed=not self._requests,
        )
        self._scheduler.submit(job)

    def _speech(self, message: Generate, *, reasoning: bool) -> Speech:
        template = self._template
        stop = (*message.stop, *template.stop)
        finder = None
        if message.tools and template.tools and template.family:
            offered = {tool.name: tuple(tool.parameters.get("properties", ())) for tool in message.tools}
            finder = CallFinder(template.family, offered)
        return Speech(Assembler(stop=stop, reasoning=reasoning, think=template.think), finder)

    # --- A step ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Place what can be placed, run one batch, tell what came of it."""
        if not self._requests:
            if warmed := self._warmth.step(self._share(BATCH, LONE_SECONDS)):
                self._outbox.send(warmed)
            return
        while (placement := self._scheduler.admit()) is not None:
            self._place(placement)
        self._tell_positions()
        spans = self._plan()
        if not spans:
            return
        start = self._clock()
        outcome = self._driver.decode(spans)
        if outcome == "full" and any(span.guessed for span in spans):
            spans = [replace(span, tokens=span.tokens[: len(span.tokens) - span.guessed], guessed=0) for span in spans]
            outcome = self._driver.decode(spans)
        if outcome == "done":
            self._learn_rate(spans, self._clock() - start)
            self._scheduler.decoded(spans)
            self._tell_started(spans)
            self._note_reading(spans, start)
            self._cache.store_marks(spans)
            self._sample(spans)
        elif outcome == "full":
            self._make_room(spans)
        else:
            for span in spans:
                self._refuse(self._scheduler.job_of(span), "llama.cpp refused to continue this answer; ask again.")

    def _plan(self) -> list[Span]:
        return self._scheduler.plan(
            longest=self._share(BATCH, LONGEST_SECONDS),
            lone=self._share(LONE, LONE_SECONDS),
            guess=self._guess,
            guesses=self._share(GUESSES, LONGEST_SECONDS) if self._guesses else 0,
        )

    def _share(self, most: int, seconds: float) -> int:
        """Tokens for a step that shall take about so many seconds at most."""
        return FEWEST if self._rate is None else max(FEWEST, min(most, int(self._rate * seconds)))

    def _learn_rate(self, spans: Sequence[Span], seconds: float) -> None:
        size = sum(len(span.tokens) for span in spans)
        if size >= FEWEST and seconds > 0:
            self._rate = size / seconds if self._rate is None else 0.7 * self._rate + 0.3 * size / seconds

    def _note_reading(self, spans: Sequence[Span], since: float) -> None:
        for span in spans:
            job = self._scheduler.job_of(span)
            request = self._requests[job.id]
            if not request.generated:
                request.read_seconds += self._clock() - since
            self._readings.read(job, since)

    def _place(self, placement: Placement) -> None:
        self._cache.place(placement)
        self._requests[placement.job.id].position = 0
        self._told = -math.inf  # the first words of an answer go out at once
        self._unread[placement.job.id] = False
        self._readings.placed(placement.job, self._scheduler.running)

    def _tell_started(self, spans: Sequence[Span]) -> None:
        """Only once its prompt is being read can the time to the first token of an answer be judged."""
        if not self._unread:
            return
        read = {self._scheduler.job_of(span).id for span in spans}
        for number, told in list(self._unread.items()):
            if number in read:
                del self._unread[number]
                self._outbox.send(Started(id=number, reading=True))
            elif not told:
                self._unread[number] = True
                self._outbox.send(Started(id=number, reading=False))

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._scheduler.waiting, start=1):
            request = self._requests[job.id]
            if request.position != position:
                request.position = position
                self._outbox.send(Queued(id=job.id, position=position))

    def _make_room(self, spans: Sequence[Span]) -> None:
        if self._cache.make_room():
            return
        request = self._requests[self._scheduler.job_of(spans[0]).id]
        if request.generated:
            self._finish(request, "length")
        else:
            self._refuse(request.job, "The prompt does not fit into the memory of the model; shorten the question.")

    def _refuse(self, job: Job, reason: str) -> None:
        slot = job.slot
        self._end(self._requests[job.id])
        if slot is not None:
            self._cache.forget(slot.number)
        self._outbox.send(Refused(id=job.id, reason=reason))

    # --- What came of it ---------------------------------------------------------------------------------------------

    def _sample(self, spans: Sequence[Span]) -> None:
        for i, span in enumerate(spans):
            if span.last:
                self._hear(self._requests[self._scheduler.job_of(span).id], span, i)
        self._tell()

    def _tell(self) -> None:
        now = self._clock()
        if self._outbox.holds and (now - self._told >= GATHER_SECONDS or self._scheduler.reading):
            self._outbox.flush()
            self._told = now

    def _hear(self, request: _Request, span: Span, number: int) -> None:
        """Take the next token, and further ones as long as the guesses were right."""
        right = 0
        guesses = span.tokens[len(span.tokens) - span.guessed :] if span.guessed else ()
        for guess in (*guesses, None):
            token = self._driver.sample(request.sampler, number, right)
            if not self._next_token(request, token) or token != guess:
                break
            right += 1
        if span.guessed:
            request.drafter.judged(span.guessed, right)
            self._cache.settle(span, request.job.tokens)

    def _guess(self, job: Job, most: int) -> Sequence[int]:
        return self._requests[job.id].drafter.guess(most)

    def _next_token(self, request: _Request, token: int | None) -> bool:
        """False where that was the last of the answer."""
        if token is None:
            self._refuse(request.job, "The schema cannot be met from here on: no token fits it; ask again.")
            return False
        if self._vocabulary.is_end(token):
            self._finish(request, "stop")
            return False
        if not request.generated:
            request.began = self._clock()
        goes_on = self._scheduler.sampled(request.job, token)
        request.drafter.added()
        speech = request.speech
        self._outbox.say(request.job.id, speech.feed(self._vocabulary.piece(token)), calls=speech.calls)
        if request.whole and not speech.reasoning:
            request.sampler.constrain()
        if speech.stopped or not goes_on:
            self._finish(request, "stop" if speech.stopped else "length")
            return False
        return True

    def _finish(self, request: _Request, reason: Literal["stop", "length"]) -> None:
        if request.whole and reason == "length":
            self._refuse(request.job, UNFINISHED.format(request.generated))
            return
        if rest := request.speech.finish():
            self._outbox.say(request.job.id, rest, calls=request.speech.calls)
        self._end(request)
        write_seconds = self._clock() - request.began if request.generated else 0.0
        self._learn_speeds(request, write_seconds)
        self._outbox.send(
            Ended(
                id=request.job.id,
                reason="tool_calls" if request.speech.calls and reason == "stop" else reason,
                prompt_tokens=request.prompt_tokens,
                cached_tokens=request.job.cached or 0,
                completion_tokens=request.generated,
                guessed_tokens=request.drafter.guessed,
                wrong_tokens=request.drafter.wrong,
                read_seconds=round(request.read_seconds, 4),
                write_seconds=round(write_seconds, 4),
            )
        )

    def _learn_speeds(self, request: _Request, write_seconds: float) -> None:
        if not request.undisturbed:
            return
        learned = self._speeds.learn(
            read=request.prompt_tokens - (request.job.cached or 0),
            read_seconds=request.read_seconds,
            written=request.generated - 1,
            write_seconds=write_seconds,
        )
        if learned:
            self._outbox.send(Paced(read_tps=self._speeds.pace.read, write_tps=self._speeds.pace.write))

    def _end(self, request: _Request) -> None:
        self._scheduler.end(request.job)
        self._unread.pop(request.job.id, None)
        self._readings.ended(request.job.id)
        request.sampler.free()
        del self._requests[request.job.id]
