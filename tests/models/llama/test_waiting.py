"""What the requests that wait are told, and when."""

from __future__ import annotations

from agentd.models.llama.checks import Checks
from agentd.models.llama.job import Job
from agentd.models.llama.pace import Speeds
from agentd.models.llama.pool import Slot
from agentd.models.llama.waiting import PAUSE, Waiting
from agentd.models.llama.wire import FromChild, Progress, Queued, Started
from agentd.ports.models import Pace


class Bench:
    """Those who wait, on a clock that stands still until a step is made."""

    def __init__(self, speed: float) -> None:
        self.now = 100.0
        self.told: list[FromChild] = []
        speeds = Speeds(Checks(None), "")
        speeds.set(Pace(read=speed, write=speed))
        self.waiting = Waiting(self.told.append, speeds, lambda: self.now)

    def job(self, number: int, tokens: int, *, held: int = 0) -> Job:
        slot = Slot(number, tokens=list(range(held)))
        return Job(id=number, session="s", tokens=list(range(tokens)), remaining=10, slot=slot)

    def step(self, job: Job, tokens: int, seconds: float) -> None:
        assert job.slot is not None
        since, self.now = self.now, self.now + seconds
        job.slot.tokens += job.tokens[len(job.slot.tokens) :][:tokens]
        self.waiting.read([job], since)

    def said(self) -> list[tuple[int, int, float | None]]:
        said = [(told.done, told.total, told.seconds) for told in self.told if isinstance(told, Progress)]
        self.told.clear()
        return said


def test_what_will_take_long_is_told_before_it_begins_and_then_at_each_step() -> None:
    bench = Bench(speed=50)
    job = bench.job(1, 2100, held=100)
    bench.waiting.placed(job, [job])
    assert bench.said() == [(0, 2000, 40.0)]
    for done in (500, 1000, 1500):
        bench.step(job, 500, 5.0)
        assert bench.said() == [(done, 2000, (2000 - done) / 100)], "the rest goes by how fast it really is"
    bench.step(job, 500, 5.0)
    assert bench.said() == [(2000, 2000, 0.0)]
    job.tokens.append(7)
    bench.step(job, 1, 5.0)
    assert bench.said() == []


def test_a_prompt_that_is_read_at_once_is_not_told_of() -> None:
    bench = Bench(speed=5000)
    job = bench.job(1, 400)
    bench.waiting.placed(job, [job])
    bench.step(job, 300, PAUSE / 3)
    bench.step(job, 100, PAUSE / 3)
    assert bench.said() == []


def test_steps_that_are_quick_are_told_a_few_times_a_second() -> None:
    bench = Bench(speed=1000)
    job = bench.job(1, 2000)
    bench.waiting.placed(job, [job])
    for _ in range(40):
        bench.step(job, 50, 0.05)
    told = bench.said()
    assert 6 <= len(told) <= 2 / PAUSE + 2
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_who_is_read_later_is_told_how_long_the_prompts_before_it_take_too() -> None:
    bench = Bench(speed=100)
    first, answering, later = bench.job(1, 1000), bench.job(2, 50, held=49), bench.job(3, 200)
    bench.waiting.placed(later, [first, answering, later])
    assert bench.said() == [(0, 200, 12.0)]


def test_a_prompt_that_is_in_the_cache_is_not_told_of_whoever_is_read_beside_it() -> None:
    bench = Bench(speed=100)
    first, cached = bench.job(1, 1000), bench.job(2, 200, held=199)
    bench.waiting.placed(cached, [first, cached])
    bench.step(cached, 1, 5.0)
    assert bench.said() == []


def test_a_job_that_lost_its_place_is_read_again_from_there() -> None:
    bench = Bench(speed=100)
    job = bench.job(1, 1000)
    bench.waiting.placed(job, [job])
    bench.step(job, 500, 5.0)
    job.slot = Slot(2)
    bench.waiting.placed(job, [job])
    assert bench.said()[-1] == (0, 1000, 10.0)


def test_of_a_job_that_has_ended_and_without_a_known_speed_nothing_is_told_in_advance() -> None:
    bench = Bench(speed=0)
    job = bench.job(1, 1000)
    bench.waiting.placed(job, [job])
    assert bench.said() == []
    bench.step(job, 100, 1.0)
    assert bench.said() == [(100, 1000, 9.0)]
    bench.waiting.ended(1)
    bench.waiting.ended(1)
    bench.step(job, 100, 1.0)
    assert bench.said() == []


def test_who_waits_is_told_the_position_only_when_it_changes() -> None:
    bench = Bench(speed=100)
    first, second = bench.job(1, 10), bench.job(2, 10)
    for queue in ([first, second], [first, second], [second]):
        bench.waiting.queued(queue)
    assert bench.told == [Queued(id=1, position=1), Queued(id=2, position=2), Queued(id=2, position=1)]


def test_a_request_is_told_once_that_its_prompt_waits_for_others_and_once_that_it_is_read() -> None:
    bench = Bench(speed=1000)
    first, second = bench.job(1, 100), bench.job(2, 100)
    for job in (first, second):
        bench.waiting.placed(job, [first, second])
    bench.step(first, 50, 0.01)
    bench.step(first, 50, 0.01)
    bench.step(second, 100, 0.01)
    assert [told for told in bench.told if isinstance(told, Started)] == [
        Started(id=1, reading=True),
        Started(id=2, reading=False),
        Started(id=2, reading=True),
    ]
