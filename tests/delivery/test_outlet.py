from __future__ import annotations

import random

from agentd.delivery.decisions import Owed, Policy
from agentd.delivery.outlet import Lane, Outlet
from agentd.records import Address


def lane(chat: str, number: int, *, attempts: int = 0) -> Lane:
    address = Address(channel="c", chat=chat)
    made = Lane(address)
    made.put(Owed(id=f"{number:04d}", turn_id="t", address=address, born=0.0, attempts=attempts))
    return made


def outlet(**changes: float) -> Outlet:
    made = Outlet(Policy(**{"recovery_rate": 10.0, "recovery_burst": 2, **changes}), random.Random(1))  # type: ignore[arg-type]
    made.connected = True
    return made


def all_now(of: Outlet, now: float) -> list[str]:
    chats = []
    while (taken := of.next_lane(now)) is not None:
        chats.append(taken.address.chat)
    return chats


def test_lanes_get_their_turn_in_the_order_in_which_they_became_ready() -> None:
    of = outlet()
    for number, chat in enumerate("abc"):
        of.enqueue(lane(chat, number))
    assert all_now(of, 0.0) == ["a", "b", "c"]


def test_a_lane_that_waits_keeps_its_place() -> None:
    of = outlet()
    first = lane("a", 1)
    of.enqueue(first)
    of.enqueue(lane("b", 2))
    of.enqueue(first)
    assert all_now(of, 0.0) == ["a", "b"]


def test_nothing_goes_while_unconnected_or_at_the_limit() -> None:
    of = outlet(parallel=1)
    of.enqueue(lane("a", 1))
    of.connected = False
    assert of.next_lane(0.0) is None
    of.connected, of.in_flight = True, 1
    assert of.next_lane(0.0) is None
    of.in_flight = 0
    assert all_now(of, 0.0) == ["a"]


def test_what_piled_up_is_paced_and_what_comes_later_is_not() -> None:
    of = outlet()
    for number in range(10):
        of.enqueue(lane(f"old{number}", number))
    of.newest = "0009"
    of.catch_up()
    of.enqueue(lane("new", 10))
    assert all_now(of, 0.0) == ["old0", "old1", "new"]
    assert of.next_at(0.0) == 0.1
    assert all_now(of, 0.1) == ["old2"]
    assert all_now(of, 100.0) == ["old3", "old4"]


def test_live_traffic_does_not_starve_what_piled_up() -> None:
    of = outlet(parallel=1)
    of.enqueue(lane("old", 1))
    of.newest = "0001"
    of.catch_up()
    of.enqueue(lane("new", 2))
    taken = of.next_lane(0.0)
    assert taken is not None and taken.address.chat == "old"


def test_the_probe_is_the_lane_that_failed_least() -> None:
    of = outlet()
    of.enqueue(lane("dead", 1, attempts=40))
    of.enqueue(lane("fresh", 2))
    for n in range(5):
        of.breaker.fail(f"e{n}", Address(channel="c", chat=str(n)), 0.0)
    assert of.next_lane(0.0) is None
    probe_at = of.next_at(0.0)
    taken = of.next_lane(probe_at)
    assert taken is not None and taken.address.chat == "fresh"
    assert of.next_lane(probe_at + 1000) is None
