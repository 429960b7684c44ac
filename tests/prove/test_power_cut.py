"""A short power-cut run: real cuts of a loop-mounted ext4, and a control group that must lose."""

from __future__ import annotations

import os

import pytest

from tests.prove.world import Item, World
from tests.prover import prove


def test_a_few_power_cuts_lose_nothing_and_without_syncs_they_lose_nearly_all() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    shown = prove("power-cut", CUTS="12")
    if "SKIPPED" in shown:
        pytest.skip(shown.splitlines()[-1])
    assert "cuts 12" in shown and "lost 0" in shown and "control without sync" in shown


def told(world: World, *lines: dict[str, object]) -> None:
    for line in lines:
        world.told(line)


def accepted(world: World, key: str = "a") -> None:
    told(world, {"begin": 1, "op": "accept", "keys": [key], "digest": "q"}, {"done": 1})


QUESTION = Item(where="pending", digest="q")


def test_what_was_promised_and_is_gone_or_changed_is_a_violation() -> None:
    for found in ({}, {"a": Item(where="pending", digest="other")}, {"a": Item(where="dead", digest="q")}):
        world = World()
        accepted(world)
        assert len(world.check(found)) == 1


def test_what_was_only_begun_may_be_there_or_not() -> None:
    for found in ({}, {"a": QUESTION}):
        world = World()
        told(world, {"begin": 1, "op": "accept", "keys": ["a"], "digest": "q"})
        assert world.check(found) == []


def test_a_move_of_two_turns_happens_as_a_whole() -> None:
    answered = Item(where="pending", digest="out")
    for found, wrong in (
        ({"a": QUESTION, "b": QUESTION}, 0),
        ({"a": answered}, 0),
        ({"a": QUESTION}, 1),
        ({"a": answered, "b": QUESTION}, 1),
    ):
        world = World()
        accepted(world, "a")
        accepted(world, "b")
        told(world, {"begin": 2, "op": "answer", "keys": ["a", "b"], "digest": "out"})
        assert len(world.check(found)) == wrong


def test_what_nobody_promised_is_a_violation() -> None:
    assert len(World().check({"a": QUESTION})) == 1


def test_a_deferral_need_not_survive_unless_it_is_unsure_and_a_send_that_began_must() -> None:
    sending = Item(where="pending", digest="q", sending=True)
    deferred = Item(where="pending", digest="q", attempts=1)
    perhaps = Item(where="pending", digest="q", sending=True, attempts=1)
    begun: list[dict[str, object]] = [{"begin": 2, "op": "sending", "keys": ["a"], "parts": ""}, {"done": 2}]
    unsure: list[dict[str, object]] = [
        {"begin": 3, "op": "defer", "keys": ["a"], "attempt": 1, "uncertain": True},
        {"done": 3},
    ]
    later: list[dict[str, object]] = [
        {"begin": 3, "op": "defer", "keys": ["a"], "attempt": 1, "uncertain": False},
        {"done": 3},
    ]
    for lines, found, wrong in (
        (begun, sending, 0),
        (begun, QUESTION, 1),
        (begun + later, sending, 0),
        (begun + later, deferred, 0),
        (begun + later, QUESTION, 1),
        (begun + unsure, perhaps, 0),
        (begun + unsure, sending, 1),
        (begun + unsure, deferred, 1),
    ):
        world = World()
        accepted(world)
        told(world, *lines)
        assert len(world.check({"a": found})) == wrong


def test_losses_are_counted_among_what_must_be_there() -> None:
    world = World()
    accepted(world, "a")
    accepted(world, "b")
    assert world.lost({"a": QUESTION}) == (1, 2)


def test_a_line_that_was_cut_off_may_come_to_light_with_the_next_one_that_is_not_synced() -> None:
    begun = Item(where="pending", digest="q", starts=1)
    later: list[dict[str, object]] = [
        {"begin": 4, "op": "defer", "keys": ["a"], "attempt": 1, "uncertain": False},
        {"done": 4},
    ]
    synced: list[dict[str, object]] = [{"begin": 3, "op": "sending", "keys": ["a"], "parts": ""}, {"done": 3}]
    for lines, wrong in ((later, 0), ([], 1), (synced + later, 1)):
        world = World()
        accepted(world)
        told(world, {"begin": 2, "op": "started", "keys": ["a"]})
        assert world.check({"a": QUESTION}) == []
        told(world, *lines)
        assert len(world.check({"a": begun})) == wrong
