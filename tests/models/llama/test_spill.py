from __future__ import annotations

import random

import numpy as np
import pytest

from agentd.models.llama.spill import Spill, State


def state(size: int, mark: int = 0) -> State:
    return np.full(size, mark, np.uint8)


def test_what_was_put_is_found_by_a_prompt_that_begins_like_it() -> None:
    spill = Spill(1000)
    spill.put("a", [1, 2, 3, 4], state(10, 7))
    found = spill.find([1, 2, 3, 9, 9])
    assert found is not None and (found.keep, found.length) == (3, 4)
    assert spill.take(found)[0] == 7
    assert spill.find([1, 2, 3, 9, 9]) is None and spill.size == 0


def test_one_token_of_a_prompt_is_left_to_decode() -> None:
    spill = Spill(1000)
    spill.put("a", [1, 2, 3, 4], state(10))
    found = spill.find([1, 2, 3, 4])
    assert found is not None and found.keep == 3


def test_the_longest_beginning_is_found() -> None:
    spill = Spill(1000)
    spill.put("a", [1, 2, 9], state(10, 1))
    spill.put("b", [1, 2, 3, 4], state(10, 2))
    spill.put("c", [5], state(10, 3))
    found = spill.find([1, 2, 3, 4, 5])
    assert found is not None and spill.take(found)[0] == 2
    assert spill.find([6, 7]) is None


def test_states_that_only_count_as_a_whole_stay_for_others() -> None:
    spill = Spill(1000, whole_only=True)
    spill.put("a", [1, 2], state(10, 1))
    spill.put("a", [1, 2, 3, 4], state(10, 2))
    short, long = spill.find([1, 2, 3, 9]), spill.find([1, 2, 3, 4, 5])
    assert short is not None and long is not None
    assert (short.keep, long.keep) == (2, 4)
    assert spill.take(short)[0] == 1 and spill.take(short)[0] == 1
    assert spill.holds([1, 2]) and not spill.holds([1])


def test_a_session_that_has_grown_takes_the_place_of_what_it_was() -> None:
    spill = Spill(1000)
    spill.put("a", [1, 2], state(10))
    spill.put("b", [1, 2, 3], state(10))
    spill.put("a", [1, 2, 3, 4], state(10))
    assert len(spill) == 2
    assert spill.size == 2 * 10 + 4 * (3 + 4)


def test_what_was_put_first_goes_first_and_the_bytes_are_counted() -> None:
    spill = Spill(100)
    for number in range(10):
        spill.put(str(number), [number], state(30))
    assert (len(spill), spill.size) == (2, 68)
    assert spill.find([8, 0]) is not None and spill.find([7, 0]) is None


def test_what_is_larger_than_all_is_not_taken_in() -> None:
    spill = Spill(100)
    spill.put("a", [1], state(50))
    spill.put("b", [2], state(101))
    assert len(spill) == 1 and not spill.room_for(101)


@pytest.mark.parametrize("seed", range(5))
def test_it_never_holds_more_than_it_may(seed: int) -> None:
    chance = random.Random(seed)
    spill = Spill(1000, whole_only=bool(seed % 2))
    for _ in range(200):
        tokens = [chance.randrange(3) for _ in range(chance.randrange(1, 12))]
        spill.put(str(chance.randrange(4)), tokens, state(chance.randrange(400)))
        if chance.random() < 0.3 and (found := spill.find(tokens)):
            spill.take(found)
        assert spill.size <= 1000
        assert spill.size == sum(entry.size for entry in spill._entries.values())
