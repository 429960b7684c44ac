from __future__ import annotations

import random

import pytest

from agentd.generation import Priority
from agentd.models.llama.scheduler import HEADROOM, Job, Scheduler, Span, common


def job(
    number: int, prompt: list[int], *, session: str = "", remaining: int = 10, priority: Priority = "interactive"
) -> Job:
    return Job(id=number, session=session or str(number), tokens=list(prompt), remaining=remaining, priority=priority)


def prompt(seed: int, length: int) -> list[int]:
    return [random.Random(seed * 10_000 + i).randrange(1000) for i in range(length)]


def admit_all(scheduler: Scheduler) -> list[int]:
    placed = []
    while placement := scheduler.admit():
        scheduler.place(placement, placement.keep)
        placed.append(placement.job.id)
    return placed


def step(scheduler: Scheduler, *, alone: int = 512, together: int = 128) -> list[Span]:
    """One step in which every job that may sample gets the token 7."""
    admit_all(scheduler)
    spans = scheduler.plan(alone=alone, together=together)
    scheduler.decoded(spans)
    for span in spans:
        if span.last and not scheduler.sampled(found := scheduler.job_of(span), 7):
            scheduler.end(found)
    return spans


def run(scheduler: Scheduler) -> None:
    for _ in range(1000):
        if not step(scheduler):
            return
    raise AssertionError("the scheduler does not come to an end")


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [([], [1], 0), ([1, 2, 3], [1, 2, 3], 3), ([1, 2, 3], [1, 2, 4, 5], 2), ([1], [2], 0), ([1, 2], [1, 2, 3], 2)],
)
def test_the_common_beginning_is_found(one: list[int], other: list[int], length: int) -> None:
    assert common(one, other) == length == common(other, one)


def test_a_prompt_is_read_in_steps_and_only_its_last_token_is_sampled() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    scheduler.submit(job(1, prompt(1, 1000)))
    sizes = [(len(span.tokens), span.last) for _ in range(2) for span in step(scheduler)]
    assert sizes == [(512, False), (488, True)]


def test_answers_go_on_while_a_long_prompt_is_read() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    scheduler.submit(job(1, prompt(1, 10)))
    step(scheduler)
    scheduler.submit(job(2, prompt(2, 300)))
    sizes = [sorted(len(span.tokens) for span in step(scheduler)) for _ in range(3)]
    assert sizes == [[1, 128], [1, 128], [1, 44]]


def test_the_oldest_prompt_is_read_first() -> None:
    scheduler = Scheduler(slots=4, context=4096)
    for number in (1, 2, 3):
        scheduler.submit(job(number, prompt(number, 400)))
    admit_all(scheduler)
    spans = scheduler.plan(alone=512, together=128)
    assert [(scheduler.job_of(span).id, len(span.tokens)) for span in spans] == [(1, 400), (2, 112)]


def test_people_come_before_tools_and_tools_before_background_work() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    order: list[tuple[int, Priority]] = [(1, "background"), (2, "tool"), (3, "interactive"), (4, "interactive")]
    for number, priority in order:
        scheduler.submit(job(number, prompt(number, 10), priority=priority))
    assert [waiting.id for waiting in scheduler.waiting] == [3, 4, 2, 1]


def test_a_beginning_is_shared_with_a_busy_slot() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    system = prompt(0, 200)
    scheduler.submit(job(1, system + prompt(1, 10)))
    step(scheduler)
    scheduler.submit(job(2, system + prompt(2, 10)))
    placement = scheduler.admit()
    assert placement is not None and placement.donor is not None
    assert (placement.donor.number, placement.keep) == (0, 200)
    used = scheduler.used
    scheduler.place(placement, placement.keep)
    assert scheduler.used == used


def test_a_job_waits_for_a_beginning_that_another_is_decoding() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    system = prompt(0, 600)
    for number in (1, 2):
        scheduler.submit(job(number, system + prompt(number, 10)))
    assert admit_all(scheduler) == [1]
    scheduler.decoded(scheduler.plan(alone=512, together=128))
    assert admit_all(scheduler) == []
    scheduler.decoded(scheduler.plan(alone=512, together=128))
    placement = scheduler.admit()
    assert placement is not None and placement.keep == 600


def test_a_job_that_waited_goes_on_by_itself_when_the_other_is_cancelled() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    first, second = (job(number, [*prompt(0, 600), number]) for number in (1, 2))
    scheduler.submit(first)
    scheduler.submit(second)
    assert admit_all(scheduler) == [1]
    scheduler.decoded(scheduler.plan(alone=100, together=128))
    scheduler.end(first)
    assert admit_all(scheduler) == [2]
    assert second.cached == 100


def test_a_session_finds_its_own_history_again() -> None:
    scheduler = Scheduler(slots=3, context=4096)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(number, 100), session=f"s{number}"))
    run(scheduler)
    scheduler.submit(job(3, [*prompt(2, 100), *([7] * 9), *prompt(3, 5)], session="s2"))
    placement = scheduler.admit()
    assert placement is not None
    assert (placement.slot.number, placement.keep, placement.donor) == (1, 109, None)


def test_the_slot_that_was_used_longest_ago_is_taken_when_none_is_empty() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    for number in (1, 2, 3):
        scheduler.submit(job(number, prompt(number, 20)))
        run(scheduler)
    placement = None
    scheduler.submit(job(4, prompt(4, 20)))
    placement = scheduler.admit()
    assert placement is not None and placement.slot.number == 1


def test_one_token_at_least_is_decoded_again() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(0, 50)))
        step(scheduler)
    assert [running.cached for running in scheduler.running] == [0, 49]


def test_idle_histories_make_room_for_a_job_that_needs_it() -> None:
    scheduler = Scheduler(slots=3, context=1000)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(number, 400)))
        run(scheduler)
    scheduler.submit(job(3, prompt(3, 300)))
    placement = scheduler.admit()
    assert placement is not None and placement.evict == (0,)


def test_a_job_waits_where_running_ones_leave_no_room() -> None:
    scheduler = Scheduler(slots=3, context=1000)
    scheduler.submit(job(1, prompt(1, 700), remaining=200))
    step(scheduler)
    scheduler.submit(job(2, prompt(2, 1000 - 700 - 2 * HEADROOM + 1), remaining=200))
    assert admit_all(scheduler) == []
    scheduler.end(scheduler.running[0])
    assert admit_all(scheduler) == [2]


def test_a_full_cache_costs_the_idle_first_and_then_the_newest() -> None:
    scheduler = Scheduler(slots=3, context=4096)
    for number in (1, 2, 3):
        scheduler.submit(job(number, prompt(number, 20), remaining=50))
    step(scheduler)
    scheduler.end(scheduler.running[0])
    assert scheduler.make_room() == 0
    assert scheduler.make_room() == 2
    assert [waiting.id for waiting in scheduler.waiting] == [3]
    assert scheduler.make_room() is None


def test_a_job_that_lost_its_place_goes_on_with_what_it_had_generated() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(number, 20), remaining=50))
    for _ in range(3):
        step(scheduler)
    scheduler.make_room()
    lost = scheduler.waiting[0]
    assert lost.tokens[20:] == [7, 7, 7]
    (_, again) = step(scheduler)
    assert (len(again.tokens), again.last) == (23, True)


def test_a_cache_that_keeps_no_beginnings_is_reused_as_a_whole_only() -> None:
    scheduler = Scheduler(slots=2, context=4096, whole_only=True)
    scheduler.submit(job(1, prompt(1, 20), session="s", remaining=1))
    run(scheduler)
    scheduler.submit(job(2, [*prompt(1, 15), 1, 2, 3], session="s", remaining=1))
    step(scheduler)
    scheduler.submit(job(3, [*prompt(1, 15), 1, 2, 3, 4, 5], session="s", remaining=2))
    step(scheduler)
    assert [running.cached for running in scheduler.running] == [18]


@pytest.mark.parametrize("seed", range(20))
def test_every_job_ends_whatever_comes_and_goes(seed: int) -> None:
    chance = random.Random(seed)
    scheduler = Scheduler(slots=chance.randint(1, 4), context=600)
    live: dict[int, Job] = {}
    for number in range(40):
        beginning = prompt(chance.randrange(3), chance.randrange(200))
        new = job(number, beginning + prompt(number + 100, 1 + chance.randrange(80)), session=str(chance.randrange(5)))
        live[number] = new
        scheduler.submit(new)
        if chance.random() < 0.3 and (stopped := chance.choice([*scheduler.waiting, *scheduler.running])):
            scheduler.end(stopped)
        if chance.random() < 0.2:
            scheduler.make_room()
        step(scheduler)
        assert scheduler.used <= 600 + 512
    run(scheduler)
    assert not scheduler.waiting and not scheduler.running
