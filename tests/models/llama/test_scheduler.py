from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from agentd.models.llama.job import Job, Span, Stored
from agentd.models.llama.scheduler import HEADROOM, LAG, PINNED, YIELD, Scheduler
from agentd.ports.generation import Priority


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


def step(scheduler: Scheduler, *, longest: int = 512, lone: int = 128) -> list[Span]:
    """One step in which every job that may sample gets the token 7."""
    admit_all(scheduler)
    spans = scheduler.plan(longest=longest, lone=lone)
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
    sizes = [[len(span.tokens) for span in step(scheduler)] for _ in range(7)]
    assert sizes == [[1], [128], [1], [128], [1], [44], [1, 1]]


def test_the_oldest_prompt_is_read_first() -> None:
    scheduler = Scheduler(slots=4, context=4096)
    for number in (1, 2, 3):
        scheduler.submit(job(number, prompt(number, 400)))
    admit_all(scheduler)
    spans = scheduler.plan(longest=512, lone=128)
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
    scheduler.decoded(scheduler.plan(longest=512, lone=128))
    assert admit_all(scheduler) == []
    scheduler.decoded(scheduler.plan(longest=512, lone=128))
    placement = scheduler.admit()
    assert placement is not None and placement.keep == 600


def test_a_job_that_waited_goes_on_by_itself_when_the_other_is_cancelled() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    first, second = (job(number, [*prompt(0, 600), number]) for number in (1, 2))
    scheduler.submit(first)
    scheduler.submit(second)
    assert admit_all(scheduler) == [1]
    scheduler.decoded(scheduler.plan(longest=128, lone=128))
    scheduler.end(first)
    assert admit_all(scheduler) == [2]
    assert second.cached == 128


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
    assert placement is not None and [left.slot for left in placement.evicted] == [0]


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
    assert [left.slot for left in (scheduler.make_room(), scheduler.make_room()) if left] == [0, 2]
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
    step(scheduler)
    (again,) = step(scheduler)
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


# --- Urgency and fairness --------------------------------------------------------------------------------------------


def test_sessions_take_turns_whatever_each_of_them_wants() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    for number, session in enumerate(["greedy", "greedy", "greedy", "modest", "other", "modest"]):
        scheduler.submit(job(number, prompt(number, 10), session=session))
    assert [waiting.id for waiting in scheduler.waiting] == [0, 3, 4, 1, 5, 2]


def test_who_comes_later_does_not_overtake_for_ever() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    for number in (0, 1):
        scheduler.submit(job(number, prompt(number, 10), session="greedy", remaining=1))
    served: list[int] = []
    for number in range(2, 40):
        scheduler.submit(job(number, prompt(number, 10), session=f"new{number}", remaining=1))
        served += admit_all(scheduler)
        step(scheduler)
    assert YIELD <= served.index(1) <= YIELD + 2


def test_what_is_urgent_takes_the_place_of_the_newest_background_work_which_goes_on_later() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(number, 20), remaining=50, priority="background"))
    step(scheduler)
    scheduler.submit(job(3, prompt(3, 20), remaining=1))
    assert admit_all(scheduler) == [3]
    assert [waiting.id for waiting in scheduler.waiting] == [2]
    run_until(scheduler, lambda: not any(running.id == 3 for running in scheduler.running))
    assert admit_all(scheduler) == [2]
    assert scheduler.running[-1].tokens[20:] == [7], "what it had said is kept"


def test_work_that_is_as_urgent_is_not_displaced() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    scheduler.submit(job(1, prompt(1, 20), remaining=50))
    step(scheduler)
    scheduler.submit(job(2, prompt(2, 20)))
    assert admit_all(scheduler) == []


def test_background_work_makes_room_in_the_cache_too() -> None:
    scheduler = Scheduler(slots=3, context=1000)
    scheduler.submit(job(1, prompt(1, 700), remaining=200, priority="background"))
    step(scheduler)
    scheduler.submit(job(2, prompt(2, 500)))
    assert admit_all(scheduler) == [2]
    assert [waiting.id for waiting in scheduler.waiting] == [1]


def test_urgent_prompts_are_read_first_and_background_work_goes_on_slowly_beside_answers() -> None:
    scheduler = Scheduler(slots=3, context=4096)
    scheduler.submit(job(1, prompt(1, 300), remaining=50, priority="background"))
    scheduler.submit(job(2, prompt(2, 600), remaining=50))
    admit_all(scheduler)
    first = scheduler.plan(longest=512, lone=128)
    assert [(scheduler.job_of(span).id, len(span.tokens)) for span in first] == [(2, 512)]
    shares = [[scheduler.job_of(span).id for span in step(scheduler)] for _ in range(4 * LAG)]
    assert sum(1 in share for share in shares) == 2 and sum(2 in share for share in shares) == 4 * LAG - 2


# --- Guesses, checkpoints, and what is stored -------------------------------------------------------------------------


def test_guesses_go_into_the_batch_behind_the_token_that_is_certain() -> None:
    scheduler = Scheduler(slots=2, context=4096)
    for number in (1, 2):
        scheduler.submit(job(number, prompt(number, 10)))
    step(scheduler)
    spans = scheduler.plan(longest=512, lone=128, guess=lambda job, most: [1, 2, 3, 4][:most], guesses=6)
    assert [(span.tokens, span.guessed) for span in spans] == [([7, 1, 2, 3, 4], 4), ([7, 1, 2], 2)]


def test_no_more_is_guessed_than_may_yet_be_said() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    scheduler.submit(job(1, prompt(1, 10), remaining=4))
    step(scheduler)
    (span,) = scheduler.plan(longest=512, lone=128, guess=lambda job, most: [1] * most, guesses=99)
    assert span.guessed == 2


@pytest.mark.parametrize(("said", "cut"), [([1, 2, 3, 9], None), ([1, 5], 12), ([5], 11)])
def test_what_was_guessed_wrong_is_cut_off_again(said: list[int], cut: int | None) -> None:
    scheduler = Scheduler(slots=1, context=4096)
    scheduler.submit(job(1, prompt(1, 10)))
    step(scheduler)
    (span,) = scheduler.plan(longest=512, lone=128, guess=lambda job, most: [1, 2, 3], guesses=9)
    scheduler.decoded([span])
    running = scheduler.running[0]
    for token in said:
        scheduler.sampled(running, token)
    assert scheduler.settle(span, running.tokens) == cut
    assert running.pending == 1 and scheduler.used == len(running.tokens) - 1


def test_a_prompt_is_read_up_to_each_of_its_checkpoints() -> None:
    scheduler = Scheduler(slots=1, context=4096)
    marked = job(1, prompt(1, 700))
    marked.checkpoints = (100, 650)
    scheduler.submit(marked)
    assert [len(span.tokens) for _ in range(4) for span in step(scheduler)] == [100, 512, 38, 50]


def test_a_stored_beginning_is_taken_where_it_is_much_longer_than_one_in_the_cache() -> None:
    stored = Stored(key=1, length=300, keep=250)
    scheduler = Scheduler(slots=2, context=4096, find=lambda tokens: stored)
    whole = prompt(0, 400)
    scheduler.submit(job(1, [*whole[:230], 1]))
    placement = scheduler.admit()
    assert placement is not None and placement.stored == stored and placement.keep == 250
    scheduler.place(placement, 230)
    assert scheduler.used == 230
    step(scheduler)
    scheduler.submit(job(2, whole))
    placement = scheduler.admit()
    assert placement is not None and placement.stored is None and placement.keep == 230


def run_until(scheduler: Scheduler, done: Callable[[], bool]) -> None:
    for _ in range(1000):
        if done():
            return
        step(scheduler)
    raise AssertionError("that did not happen")


@pytest.mark.parametrize("seed", range(20))
def test_every_job_ends_whatever_comes_and_goes(seed: int) -> None:
    chance = random.Random(seed)
    scheduler = Scheduler(slots=chance.randint(1, 4), context=600)
    urgency: list[Priority] = ["interactive", "tool", "background"]
    live: dict[int, Job] = {}
    for number in range(40):
        beginning = prompt(chance.randrange(3), chance.randrange(200))
        new = job(number, beginning + prompt(number + 100, 1 + chance.randrange(80)), session=str(chance.randrange(5)))
        new.priority = chance.choice(urgency)
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


@pytest.mark.parametrize(
    ("limit", "length", "sizes"),
    [
        (512, 300, [300]),
        (512, 600, [512, 88]),
        (100, 200, [64, 64, 64, 8]),
        (10, 128, [64, 64]),
        (128, 1000, [128, 128, 128, 128, 104, 128, 128, 128]),
        (512, 1088, [512, 512, 64]),
    ],
)
def test_behind_a_long_beginning_a_prompt_is_read_in_whole_tiles_after_what_is_odd(
    limit: int, length: int, sizes: list[int]
) -> None:
    scheduler = Scheduler(slots=1, context=8192)
    scheduler.submit(job(1, prompt(1, length)))
    assert [len(span.tokens) for _ in sizes for span in step(scheduler, longest=limit)] == sizes


def test_what_a_prompt_that_is_read_leaves_goes_to_the_next() -> None:
    scheduler = Scheduler(slots=2, context=8192)
    for number, length in ((1, 100), (2, 200)):
        scheduler.submit(job(number, prompt(number, length)))
    spans = [[(scheduler.job_of(s).id, len(s.tokens)) for s in step(scheduler, longest=64, lone=64)] for _ in range(4)]
    assert spans == [[(1, 64)], [(1, 36), (2, 28)], [(1, 1)], [(2, 64)]]


def test_no_step_is_larger_than_it_may_be() -> None:
    scheduler = Scheduler(slots=8, context=8192)
    for number in range(8):
        scheduler.submit(job(number, prompt(number, 530 + 61 * number)))
    while any(scheduler.running) or any(scheduler.waiting):
        assert sum(len(span.tokens) for span in step(scheduler, longest=512, lone=512)) <= 512


def test_answers_pause_longer_where_several_wait_for_their_first_word() -> None:
    scheduler = Scheduler(slots=3, context=8192)
    scheduler.submit(job(1, prompt(1, 10), remaining=50))
    step(scheduler)
    for number in (2, 3):
        scheduler.submit(job(number, prompt(number, 300), remaining=50))
    sizes = [sum(len(span.tokens) for span in step(scheduler, longest=256, lone=64)) for _ in range(8)]
    assert sizes == [1, 256, 1, 256, 2, 64, 2, 24]


@pytest.mark.parametrize("background", [1, 2, 3])
def test_background_work_does_not_lengthen_the_pauses_of_people(background: int) -> None:
    scheduler = Scheduler(slots=6, context=8192)
    scheduler.submit(job(1, prompt(1, 10), remaining=200))
    step(scheduler)
    for number in range(2, 2 + background):
        scheduler.submit(job(number, prompt(number, 700), priority="background"))
    scheduler.submit(job(9, prompt(9, 900)))
    for _ in range(100):
        assert sum(len(span.tokens) for span in step(scheduler, longest=512, lone=64)) <= 64


@pytest.mark.parametrize("parity", range(LAG))
def test_background_work_goes_on_while_answers_and_prompts_take_turns(parity: int) -> None:
    scheduler = Scheduler(slots=4, context=8192)
    scheduler.submit(job(1, prompt(1, 10), remaining=500, priority="background"))
    step(scheduler)
    scheduler.submit(job(2, prompt(2, 10), remaining=500))
    for _ in range(1 + parity):
        step(scheduler)
    scheduler.submit(job(3, prompt(3, 7000)))
    steps = [[scheduler.job_of(span).id for span in step(scheduler, longest=64, lone=64)] for _ in range(100)]
    assert all(sum(number in found for found in steps) >= 10 for number in (1, 2, 3))


def test_what_is_left_of_a_step_goes_to_the_next_prompt_also_behind_a_long_beginning() -> None:
    scheduler = Scheduler(slots=2, context=8192)
    scheduler.submit(job(1, [*prompt(1, 600), 1], session="s"))
    run(scheduler)
    scheduler.submit(job(2, prompt(2, 100)))
    scheduler.submit(job(3, [*prompt(1, 600), *prompt(3, 500)], session="s"))
    admit_all(scheduler)
    spans = scheduler.plan(longest=128, lone=128)
    assert [(scheduler.job_of(span).id, span.start, len(span.tokens)) for span in spans] == [(2, 0, 100), (3, 600, 28)]


# --- Pins ------------------------------------------------------------------------------------------------------------


def warmed(scheduler: Scheduler, number: int, tokens: list[int]) -> None:
    """A prompt was read, is pinned, and its job has ended."""
    scheduler.submit(found := job(number, tokens, remaining=0, priority="background"))
    while found.slot is None or found.pending:
        admit_all(scheduler)
        scheduler.decoded(scheduler.plan(longest=512, lone=512))
    scheduler.pin(found)
    scheduler.end(found)


def held(scheduler: Scheduler, tokens: list[int]) -> int:
    """How many tokens of this the cache holds, and how many of them a job could begin with."""
    scheduler.submit(found := job(99, [*tokens, 5000], session="who looks"))
    placement = scheduler.admit()
    scheduler.end(found)
    return placement.keep if placement else 0


def test_what_is_pinned_is_the_last_to_leave_a_full_cache() -> None:
    scheduler = Scheduler(slots=4, context=1000)
    warmed(scheduler, 1, prompt(1, 200))
    for number in range(2, 6):
        scheduler.submit(job(number, prompt(number, 300)))
        run(scheduler)
    assert held(scheduler, prompt(1, 200)) == 200
    scheduler.submit(job(6, prompt(6, 950)))
    run(scheduler)
    assert held(scheduler, prompt(1, 200)) == 0


def test_a_pinned_slot_is_taken_only_if_no_other_is_free() -> None:
    scheduler = Scheduler(slots=3, context=4096)
    warmed(scheduler, 1, prompt(1, 100))
    for number in (2, 3):
        scheduler.submit(job(number, prompt(number, 50), remaining=1000))
    admit_all(scheduler)
    assert len(scheduler.running) == 2 and held(scheduler, prompt(1, 100)) == 100
    scheduler.submit(job(4, prompt(4, 50)))
    admit_all(scheduler)
    assert len(scheduler.running) == 3


def test_the_newest_few_are_pinned() -> None:
    scheduler = Scheduler(slots=PINNED + 2, context=4096)
    for number in range(1, PINNED + 2):
        warmed(scheduler, number, prompt(number, 20))
    for number in range(10, 13):
        scheduler.submit(job(number, prompt(number, 20)))
        run(scheduler)
    assert held(scheduler, prompt(1, 20)) == 0
    assert held(scheduler, prompt(2, 20)) == 20
