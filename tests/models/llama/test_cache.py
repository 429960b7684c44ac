from __future__ import annotations

from pathlib import Path

import pytest

from agentd.models.llama.cache import WORTH_STORING, Cache
from agentd.models.llama.driver import Driver
from agentd.models.llama.job import Job, Span
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.scheduler import Scheduler
from agentd.models.llama.spill import Spill
from agentd.models.llama.wire import Choice
from agentd.testing.gguf import write_random_model, write_recurrent_model

pytestmark = pytest.mark.native

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
LONG = WORTH_STORING + 100


class Bench:
    """A cache over a real model, with steps that only read prompts."""

    def __init__(self, path: Path, *, slots: int = 1, most: int = 1 << 24, context: int = 1024) -> None:
        self.driver = Driver(path, context=context, threads=1, gpu_layers=0, sequences=slots)
        self.spill = Spill(most, whole_only=self.driver.whole_only)
        self.scheduler = Scheduler(
            slots=slots, context=context, whole_only=self.driver.whole_only, find=self.spill.find
        )
        self.cache = Cache(self.driver, self.scheduler, self.spill)

    def answer(self, job: Job) -> int:
        """The first token of the answer to a prompt."""
        self.scheduler.submit(job)
        placement = self.scheduler.admit()
        assert placement is not None
        self.cache.place(placement)
        while True:
            spans = self.scheduler.plan(longest=512, lone=512)
            assert self.driver.decode(spans) == "done"
            self.scheduler.decoded(spans)
            self.cache.store_checkpoints(spans)
            if spans[0].last:
                break
        sampler = Sampler(GREEDY, vocabulary=self.driver.vocabulary, before=[])
        token = self.driver.sample(sampler, 0)
        sampler.free()
        assert token is not None
        self.scheduler.sampled(job, token)
        self.scheduler.end(job)
        return token


def job(number: int, tokens: list[int], *, session: str = "", checkpoints: tuple[int, ...] = ()) -> Job:
    return Job(id=number, session=session or str(number), tokens=list(tokens), remaining=10, checkpoints=checkpoints)


def prompt(seed: int, length: int) -> list[int]:
    return [20 + (i * 7 + seed * 13 + i * i * seed) % 200 for i in range(length)]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    write_random_model(tmp_path / "full.gguf")
    return tmp_path / "full.gguf"


@pytest.fixture
def recurrent(tmp_path: Path) -> Path:
    write_recurrent_model(tmp_path / "recurrent.gguf")
    return tmp_path / "recurrent.gguf"


def test_a_session_that_was_pushed_out_comes_back_without_being_read_again(full: Path) -> None:
    bench = Bench(full)
    alice, bob = prompt(1, LONG), prompt(2, LONG)
    first = bench.answer(job(1, alice, session="alice"))
    bench.answer(job(2, bob, session="bob"))
    assert len(bench.spill) == 1
    again = job(3, [*alice, first, 30, 31], session="alice")
    token = bench.answer(again)
    assert again.cached == LONG
    assert token == Bench(full).answer(job(3, again.tokens[:-1]))
    assert len(bench.spill) == 1, "alice's came back, bob's went out"


def test_of_what_comes_back_only_the_common_beginning_is_used(full: Path) -> None:
    bench = Bench(full)
    alice = prompt(1, LONG)
    bench.answer(job(1, alice, session="alice"))
    bench.answer(job(2, prompt(2, LONG), session="bob"))
    other = job(3, [*alice[:200], 240, 241], session="alice")
    token = bench.answer(other)
    assert other.cached == 200
    assert token == Bench(full).answer(job(3, other.tokens[:-1]))


def test_short_histories_and_those_that_are_too_large_are_not_stored(full: Path) -> None:
    for most, length in ((1 << 24, WORTH_STORING - 20), (1000, LONG)):
        bench = Bench(full, most=most)
        for number in (1, 2):
            bench.answer(job(number, prompt(number, length)))
        assert len(bench.spill) == 0


def test_what_a_state_takes_is_counted_as_it_is(full: Path) -> None:
    bench = Bench(full)
    bench.answer(job(1, prompt(1, LONG)))
    size = bench.driver.state_size(0)
    bench.answer(job(2, prompt(2, LONG)))
    assert bench.spill.size == size + 4 * LONG
    assert size > LONG * 2 * 4 * 32 * 2, "keys and values of four heads of 32 numbers, 2 bytes each"


def test_a_cache_that_is_full_gives_up_an_idle_history_and_keeps_it_outside(full: Path) -> None:
    bench = Bench(full, slots=2)
    bench.answer(job(1, prompt(1, LONG)))
    assert bench.cache.make_room() and len(bench.spill) == 1
    assert not bench.cache.make_room()
    assert bench.scheduler.used == 0


def test_a_recurrent_model_goes_on_from_the_checkpoints_of_its_prompts(recurrent: Path) -> None:
    bench = Bench(recurrent)
    system, alice, bob = prompt(0, LONG), prompt(1, 60), prompt(2, 60)
    bench.answer(job(1, system + alice, session="alice", checkpoints=(LONG, LONG + 50)))
    assert len(bench.spill) == 2
    for tokens, cached in ((system + bob, LONG), (system + alice[:50] + bob, LONG + 50), (system + alice, LONG + 50)):
        other = job(2, tokens, session="other", checkpoints=(LONG,))
        token = bench.answer(other)
        assert other.cached == cached
        assert token == Bench(recurrent).answer(job(2, tokens))


def test_wrong_guesses_leave_no_trace(full: Path) -> None:
    bench = Bench(full)
    tokens = prompt(1, 40)
    asked = job(1, tokens)
    bench.scheduler.submit(asked)
    placement = bench.scheduler.admit()
    assert placement is not None
    bench.cache.place(placement)
    span = Span(slot=0, start=0, tokens=[*tokens, 99, 98, 97], last=True, guessed=3)
    bench.driver.decode([span])
    bench.scheduler.decoded([span])
    asked.tokens += [99, 55]
    bench.cache.settle(span, asked.tokens)
    assert asked.pending == 1
    bench.scheduler.end(asked)
    following = job(2, [*tokens, 99, 55, 56], session="1")
    token = bench.answer(following)
    assert following.cached == 41
    assert token == Bench(full).answer(job(2, [*tokens, 99, 55, 56]))
