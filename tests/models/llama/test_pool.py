from __future__ import annotations

import random

import pytest

from agentd.models.llama.pool import Left, Pool, common


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [([], [1], 0), ([1, 2, 3], [1, 2, 3], 3), ([1, 2, 3], [1, 2, 4, 5], 2), ([1], [2], 0), ([1, 2], [1, 2, 3], 2)],
)
def test_the_common_beginning_is_found(one: list[int], other: list[int], length: int) -> None:
    assert common(one, other) == length == common(other, one)


def test_a_shared_beginning_takes_its_cells_once() -> None:
    pool = Pool(slots=2, context=100)
    first, second = pool.slots
    pool.add(first, range(10))
    pool.share(first, second, 6)
    pool.add(second, [90, 91])
    assert second.tokens == [0, 1, 2, 3, 4, 5, 90, 91]
    assert pool.used == 12
    pool.clear(first)
    assert pool.used == 8


def test_a_slot_may_keep_its_own_beginning() -> None:
    pool = Pool(slots=1, context=100)
    (slot,) = pool.slots
    pool.add(slot, range(10))
    pool.share(slot, slot, 4)
    assert slot.tokens == [0, 1, 2, 3] and pool.used == 4


def test_cutting_takes_away_the_end() -> None:
    pool = Pool(slots=1, context=100)
    (slot,) = pool.slots
    pool.add(slot, range(10))
    pool.cut(slot, 7)
    pool.cut(slot, 9)
    assert slot.tokens == list(range(7)) and pool.used == 7


def test_clearing_tells_what_was_there() -> None:
    pool = Pool(slots=2, context=100)
    slot = pool.slots[1]
    pool.add(slot, [4, 5])
    slot.session = "s"
    assert pool.clear(slot) == Left(slot=1, session="s", tokens=(4, 5))
    assert (slot.tokens, slot.session, pool.used) == ([], "", 0)


def test_the_idle_come_in_the_order_of_their_last_use() -> None:
    pool = Pool(slots=4, context=100)
    for slot, used in zip(pool.slots, (3, 1, 2, 0), strict=True):
        pool.add(slot, [1])
        slot.used = used
    pool.clear(pool.slots[3])
    pool.slots[2].busy = True
    assert [slot.number for slot in pool.idle()] == [1, 0]
    assert pool.held_by_busy([]) == 1
    assert pool.held_by_busy(pool.slots[0].cells) == 2


@pytest.mark.parametrize("seed", range(10))
def test_the_cells_are_always_those_of_the_slots(seed: int) -> None:
    chance = random.Random(seed)
    pool = Pool(slots=4, context=1000)
    for _ in range(300):
        one, other = chance.choice(pool.slots), chance.choice(pool.slots)
        match chance.randrange(4):
            case 0:
                pool.add(one, range(chance.randrange(20)))
            case 1:
                pool.cut(one, chance.randrange(30))
            case 2:
                pool.share(one, other, chance.randrange(30))
            case _:
                pool.clear(one)
        assert pool.used == len({cell for slot in pool.slots for cell in slot.cells})
        assert all(len(slot.tokens) == len(slot.cells) for slot in pool.slots)
