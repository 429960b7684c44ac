"""The requests that are being answered: each takes its next tokens, says what they mean, and ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentd.models.llama.decoder import Decoder
from agentd.models.llama.draft import Drafter
from agentd.models.llama.job import Job, Span
from agentd.models.llama.pace import Speeds
from agentd.models.llama.prompts import Read
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.speech import Outbox, Speech
from agentd.models.llama.waiting import Waiting
from agentd.models.llama.wire import Ended, Generate, Paced, Refused

GATHER_SECONDS = 0.01
"""What is said so soon after the last message goes out with the next: nobody sees that, and each message costs."""
UNFINISHED = "The answer did not match the schema within {} tokens; allow more tokens or ask for less."


@dataclass(slots=True)
class Measured:
    """How long one request takes, and for how much."""

    prompt_tokens: int
    undisturbed: bool
    """No other request ran at the same time."""
    read_seconds: float = 0.0
    """Of the steps that read a part of its prompt."""
    began: float = 0.0
    """When its first token came."""


@dataclass(slots=True)
class Generation:
    """One request that is being answered."""

    job: Job
    sampler: Sampler
    speech: Speech
    drafter: Drafter
    measured: Measured
    complete: bool
    """An answer that was cut off is of no use."""

    @property
    def generated(self) -> int:
        return len(self.job.tokens) - self.measured.prompt_tokens


class Generations:
    """All of them; what they say goes to the `outbox`."""

    def __init__(
        self, decoder: Decoder, outbox: Outbox, waiting: Waiting, speeds: Speeds, clock: Callable[[], float]
    ) -> None:
        self._driver, self._scheduler, self._cache = decoder.driver, decoder.scheduler, decoder.cache
        self._vocabulary = decoder.driver.vocabulary
        self._outbox, self._waiting, self._speeds, self._clock = outbox, waiting, speeds, clock
        self._running: dict[int, Generation] = {}
        self._sent = -math.inf
        """When the last text was sent."""

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def begin(self, message: Generate, prompt: Read, speech: Speech, grammar: bytes | None) -> None:
        """Submit this request; its answer must match the `grammar`, if there is one."""
        job = Job(
            id=message.id,
            session=message.session,
            tokens=prompt.tokens,
            remaining=min(message.max_tokens, self._driver.context),
            priority=message.priority,
            checkpoints=prompt.checkpoints,
        )
        sampler = Sampler(message.choice, vocabulary=self._vocabulary, before=prompt.tokens, grammar=grammar)
        if not prompt.reasoning:
            sampler.constrain()
        for other in self._running.values():
            other.measured.undisturbed = False
        self._running[message.id] = Generation(
            job=job,
            sampler=sampler,
            speech=speech,
            drafter=Drafter(prompt.tokens),
            measured=Measured(prompt_tokens=len(prompt.tokens), undisturbed=not self._running),
            complete=grammar is not None,
        )
        self._scheduler.submit(job)

    def cancel(self, number: int) -> None:
        """Nobody wants this answer any more; harmless if the request is not known."""
        if (generation := self._running.get(number)) is not None:
            self._outbox.forget(number)
            self._end(generation)

    def refuse(self, job: Job, reason: str) -> None:
        slot = job.slot
        self._end(self._running[job.id])
        if slot is not None:
            self._cache.forget(slot.number)
        self._outbox.send(Refused(id=job.id, reason=reason))

    def no_room(self, job: Job) -> None:
        """The cache is full, and nothing in it can give way."""
        generation = self._running[job.id]
        if generation.generated:
            self._finish(generation, "length")
        else:
            self.refuse(job, "The prompt does not fit into the memory of the model; shorten the question.")

    # --- A step ------------------------------------------------------------------------------------------------------

    def guess(self, job: Job, most: int) -> Sequence[int]:
        """See `job.Guess`."""
        return self._running[job.id].drafter.guess(most)

    def hurry(self) -> None:
        """Send the next words at once: they are the first of an answer."""
        self._sent = -math.inf

    def read(self, jobs: Sequence[Job], since: float) -> None:
        """A step that began at `since` has computed for these jobs."""
        for job in jobs:
            generation = self._running[job.id]
            if not generation.generated:
                generation.measured.read_seconds += self._clock() - since

    def take(self, spans: Sequence[Span], jobs: Sequence[Job]) -> None:
        """Sample what follows these spans, each of one of the `jobs`, and say it."""
        for i, span in enumerate(spans):
            if span.last:
                self._hear(self._running[jobs[i].id], span, i)
        now = self._clock()
        if self._outbox.holds and (now - self._sent >= GATHER_SECONDS or self._scheduler.reading):
            self._outbox.flush()
            self._sent = now

    def _hear(self, generation: Generation, span: Span, number: int) -> None:
        """Take the next token, and further ones as long as the guesses were right."""
        right = 0
        guesses = span.tokens[len(span.tokens) - span.guessed :] if span.guessed else ()
        for guess in (*guesses, None):
            token = self._driver.sample(generation.sampler, number, right)
            if not self._next_token(generation, token) or token != guess:
                break
            right += 1
        if span.guessed:
            generation.drafter.judged(span.guessed, right)
            self._cache.settle(span, generation.job.tokens)

    def _next_token(self, generation: Generation, token: int | None) -> bool:
        """False if that was the last of the answer."""
        if token is None:
            self.refuse(generation.job, "The schema cannot be met from here on: no token fits it; ask again.")
            return False
        if self._vocabulary.is_end(token):
            self._finish(generation, "stop")
            return False
        if not generation.generated:
            generation.measured.began = self._clock()
        goes_on = self._scheduler.sampled(generation.job, token)
        generation.drafter.added()
        speech = generation.speech
        self._outbox.say(generation.job.id, speech.feed(self._vocabulary.piece(token)), calls=speech.calls)
        if generation.complete and not speech.reasoning:
            generation.sampler.constrain()
        if speech.stopped or not goes_on:
            self._finish(generation, "stop" if speech.stopped else "length")
            return False
        return True

    # --- The end -----------------------------------------------------------------------------------------------------

    def _finish(self, generation: Generation, reason: Literal["stop", "length"]) -> None:
        if generation.complete and reason == "length":
            self.refuse(generation.job, UNFINISHED.format(generation.generated))
            return
        if rest := generation.speech.finish():
            self._outbox.say(generation.job.id, rest, calls=generation.speech.calls)
        self._end(generation)
        write_seconds = self._clock() - generation.measured.began if generation.generated else 0.0
        self._learn_speeds(generation, write_seconds)
        self._outbox.send(
            Ended(
                id=generation.job.id,
                reason="tool_calls" if generation.speech.calls and reason == "stop" else reason,
                prompt_tokens=generation.measured.prompt_tokens,
                cached_tokens=generation.job.cached or 0,
                completion_tokens=generation.generated,
                guessed_tokens=generation.drafter.guessed,
                wrong_tokens=generation.drafter.wrong,
                read_seconds=round(generation.measured.read_seconds, 4),
                write_seconds=round(write_seconds, 4),
            )
        )

    def _learn_speeds(self, generation: Generation, write_seconds: float) -> None:
        if not generation.measured.undisturbed:
            return
        learned = self._speeds.learn(
            read=generation.measured.prompt_tokens - (generation.job.cached or 0),
            read_seconds=generation.measured.read_seconds,
            written=generation.generated - 1,
            write_seconds=write_seconds,
        )
        if learned:
            self._outbox.send(Paced(read_tps=self._speeds.pace.read, write_tps=self._speeds.pace.write))

    def _end(self, generation: Generation) -> None:
        self._scheduler.end(generation.job)
        self._waiting.ended(generation.job.id)
        generation.sampler.free()
        del self._running[generation.job.id]
