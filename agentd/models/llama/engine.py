"""Requests in, events out: joins scheduler, driver, template and text, one step at a time on one thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agentd.errors import ModelError
from agentd.models.llama.driver import Driver, Sampler
from agentd.models.llama.scheduler import BATCH, Job, Placement, Scheduler, Span
from agentd.models.llama.template import Prompt, Template, Tokenizer, at_least, tokens
from agentd.models.llama.text import Assembler, Say
from agentd.models.llama.wire import (
    Cancel,
    Count,
    Counted,
    Ended,
    FromChild,
    Generate,
    Ping,
    Pong,
    Queued,
    Refused,
    Said,
    Started,
)

log = logging.getLogger(__name__)

TOGETHER = 128
"""Prompt tokens in a step beside running answers: so a long prompt slows them down and does not freeze them."""
ALONE_SECONDS, TOGETHER_SECONDS = 1.0, 0.5
"""How long a step with prompt tokens may take on a machine that is slower than that; a cancel waits for one step."""
CERTAIN = 4
"""Characters for each token of the context, above which a prompt is measured before it is tokenised as a whole."""
FEWEST = 32
"""What a step has at least, and before anything is known about the machine."""


class _Vocabulary(Tokenizer, Protocol):
    size: int

    def piece(self, token: int) -> bytes: ...

    def is_end(self, token: int) -> bool: ...


@dataclass(slots=True)
class _Request:
    job: Job
    sampler: Sampler
    text: Assembler
    prompt_tokens: int
    position: int = 0

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._driver = driver
        self._template = template
        self._send = send
        self._clock = clock
        self._vocabulary: _Vocabulary = driver.vocabulary
        self._scheduler = Scheduler(slots=sequences, context=driver.context, whole_only=driver.whole_only)
        self._requests: dict[int, _Request] = {}
        self._rate: float | None = None

    @property
    def busy(self) -> bool:
        return bool(self._requests)

    # --- Messages ----------------------------------------------------------------------------------------------------

    def handle(self, message: Generate | Count | Cancel | Ping) -> None:
        match message:
            case Generate():
                self._generate(message)
            case Count():
                self._count(message)
            case Cancel():
                if message.id in self._requests:
                    self._end(self._requests[message.id])
            case Ping():
                self._send(Pong(n=message.n))

    def _count(self, message: Count) -> None:
        try:
            prompt = self._template.render(message.lines)
        except ModelError as error:
            self._send(Refused(id=message.id, reason=str(error)))
        else:
            self._send(Counted(id=message.id, tokens=len(tokens(prompt, self._vocabulary))))

    def _generate(self, message: Generate) -> None:
        try:
            prompt = self._template.render(message.lines)
            found = self._tokens(prompt)
        except ModelError as error:
            self._send(Refused(id=message.id, reason=str(error)))
            return
        job = Job(
            id=message.id,
            session=message.session,
            tokens=found,
            remaining=min(message.max_tokens, self._driver.context),
            priority=message.priority,
        )
        self._requests[message.id] = _Request(
            job=job,
            sampler=Sampler(message.choice, vocabulary=self._vocabulary.size, before=found),
            text=Assembler(stop=(*message.stop, *self._template.stop), reasoning=prompt.reasoning),
            prompt_tokens=len(found),
        )
        self._scheduler.submit(job)

    def _tokens(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, at least one and fewer than the context."""
        context = self._driver.context
        if sum(len(piece.text) for piece in prompt.pieces) > CERTAIN * context:
            least = at_least(prompt, self._vocabulary, context)
            if least >= context:
                raise ModelError(self._too_long(f"more than {least}"))
        found = tokens(prompt, self._vocabulary)
        if len(found) >= context:
            raise ModelError(self._too_long(str(len(found))))
        if not found:
            raise ModelError("The model's chat template made an empty prompt; choose another model.")
        return found

    def _too_long(self, length: str) -> str:
        context, trained = self._driver.context, self._driver.trained_context
        larger = f" or set a larger context (this model knows up to {trained})" if trained > context else ""
        return (
            f"The prompt has {length} tokens and the context of the model {context}, which must hold the answer too;"
            f" shorten the question, start a new session{larger}."
        )

    # --- A step ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Place what can be placed, run one batch, tell what came of it."""
        while (placement := self._scheduler.admit()) is not None:
            self._place(placement)
        self._tell_positions()
        spans = self._scheduler.plan(
            alone=self._share(BATCH, ALONE_SECONDS), together=self._share(TOGETHER, TOGETHER_SECONDS)
        )
        if not spans:
            return
        start = self._clock()
        outcome = self._driver.decode(spans)
        if outcome == "done":
            self._learn_rate(spans, self._clock() - start)
            self._scheduler.decoded(spans)
            self._sample(spans)
        elif outcome == "full":
            self._make_room(spans)
        else:
            for span in spans:
                self._refuse(self._scheduler.job_of(span), "llama.cpp refused to go on with this answer; ask again.")

    def _share(self, most: int, seconds: float) -> int:
        """Prompt tokens for a step that shall take about so many seconds at most."""
        return FEWEST if self._rate is None else max(FEWEST, min(most, int(self._rate * seconds)))

    def _learn_rate(self, spans: Sequence[Span], seconds: float) -> None:
        size = sum(len(span.tokens) for span in spans)
        if size >= FEWEST and seconds > 0:
            self._rate = size / seconds if self._rate is None else 0.7 * self._rate + 0.3 * size / seconds

    def _place(self, placement: Placement) -> None:
        slot, kept = placement.slot.number, placement.keep
        for evicted in placement.evict:
            self._driver.clear(evicted)
        if placement.donor is not None:
            self._driver.clear(slot)
            self._driver.copy(placement.donor.number, slot, kept)
        elif kept == 0 or not self._driver.keep(slot, kept):
            self._driver.clear(slot)
            kept = 0
        self._scheduler.place(placement, kept)
        self._requests[placement.job.id].position = 0
        self._send(Started(id=placement.job.id))

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._scheduler.waiting, start=1):
            request = self._requests[job.id]
            if request.position != position:
                request.position = position
                self._send(Queued(id=job.id, position=position))

    def _make_room(self, spans: Sequence[Span]) -> None:
        slot = self._scheduler.make_room()
        if slot is not None:
            self._driver.clear(slot)
            return
        request = self._requests[self._scheduler.job_of(spans[0]).id]
        if request.generated:
            self._finish(request, [], "length")
        else:
            self._refuse(request.job, "The prompt does not fit into the memory of the model; shorten the question.")

    def _refuse(self, job: Job, reason: str) -> None:
        slot = job.slot
        self._end(self._requests[job.id])
        if slot is not None:
            self._driver.clear(slot.number)
            self._scheduler.forget(slot.number)
        self._send(Refused(id=job.id, reason=reason))

    def _sample(self, spans: Sequence[Span]) -> None:
        said: list[tuple[int, bool, str]] = []
        for i, span in enumerate(spans):
            if span.last:
                request = self._requests[self._scheduler.job_of(span).id]
                self._next_token(request, self._driver.sample(request.sampler, i), said)
        if said:
            self._send(Said(items=tuple(said)))

    def _next_token(self, request: _Request, token: int, said: list[tuple[int, bool, str]]) -> None:
        if self._vocabulary.is_end(token):
            self._finish(request, said, "stop")
            return
        goes_on = self._scheduler.sampled(request.job, token)
        said += _items(request, request.text.feed(self._vocabulary.piece(token)))
        if request.text.stopped:
            self._finish(request, said, "stop")
        elif not goes_on:
            self._finish(request, said, "length")

    def _finish(self, request: _Request, said: list[tuple[int, bool, str]], reason: Literal["stop", "length"]) -> None:
        said += _items(request, request.text.finish())
        if said:
            self._send(Said(items=tuple(said)))
            said.clear()
        self._end(request)
        self._send(
            Ended(
                id=request.job.id,
                reason=reason,
                prompt_tokens=request.prompt_tokens,
                cached_tokens=request.job.cached or 0,
                completion_tokens=request.generated,
            )
        )

    def _end(self, request: _Request) -> None:
        self._scheduler.end(request.job)
        request.sampler.free()
        del self._requests[request.job.id]


def _items(request: _Request, said: Sequence[Say]) -> list[tuple[int, bool, str]]:
    return [(request.job.id, say.reasoning, say.text) for say in said]
