from __future__ import annotations

import random

import pytest

from agentd.delivery import Bury, Defer, Lanes, Owed, Policy, Send
from agentd.records import Address

DAY = 24 * 3600.0


def chat(name: str = "1", channel: str = "c") -> Address:
    return Address(channel=channel, chat=name)


def owed(number: int, address: Address | None = None, *, born: float = 0.0, attempts: int = 0) -> Owed:
    name = f"{number:04d}"
    return Owed(id=name, turn_id=f"t{name}", address=address or chat(), born=born, attempts=attempts)


def lanes(*, connected: bool = True, **changes: float) -> Lanes:
    made = Lanes(Policy(**{"recovery_burst": 1000, **changes}), random.Random(1))  # type: ignore[arg-type]
    if connected:
        made.connected("c", 0.0)
    return made


def sent(of: Lanes, now: float) -> list[str]:
    decisions = of.due(now)
    assert all(isinstance(decision, Send) for decision in decisions), decisions
    return [decision.owed.id for decision in decisions]


def delay(decision: Defer | Bury) -> float:
    assert isinstance(decision, Defer) and decision.delay is not None
    return decision.delay


class TestOrder:
    def test_only_the_head_of_an_address_is_in_flight(self) -> None:
        of = lanes()
        for number in (1, 2, 3):
            of.add(owed(number), 0.0)
        assert sent(of, 0.0) == ["0001"]
        assert sent(of, 1.0) == []
        of.taken("0001", 1.0)
        assert sent(of, 1.0) == ["0002"]

    def test_ids_decide_and_not_the_order_of_arrival(self) -> None:
        of = lanes(connected=False)
        for number in (3, 1, 2):
            of.add(owed(number), 0.0)
        of.connected("c", 0.0)
        for expected in ("0001", "0002", "0003"):
            assert sent(of, 0.0) == [expected]
            of.taken(expected, 0.0)
        assert len(of) == 0

    def test_a_message_in_back_off_holds_back_its_own_address_only(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        of.add(owed(2), 0.0)
        sent(of, 0.0)
        wait = delay(of.retry("0001", "503", 0.0))
        of.add(owed(3, chat("2")), 0.0)
        assert sent(of, 0.0) == ["0003"]
        assert of.wake_at(0.0) == pytest.approx(wait)
        assert sent(of, wait) == ["0001"]

    def test_addresses_take_turns(self) -> None:
        of = lanes(parallel=1)
        for number in range(6):
            of.add(owed(number, chat("busy" if number < 4 else f"other{number}")), 0.0)
        order = []
        while batch := sent(of, 0.0):
            order += batch
            of.taken(batch[0], 0.0)
        assert order == ["0000", "0004", "0005", "0001", "0002", "0003"]

    def test_messages_that_keep_coming_for_a_waiting_address_do_not_cost_it_its_turn(self) -> None:
        of = lanes(parallel=1)
        of.add(owed(1, chat("a")), 0.0)
        of.add(owed(2, chat("b")), 0.0)
        of.add(owed(3, chat("c")), 0.0)
        assert sent(of, 0.0) == ["0001"]
        of.add(owed(4, chat("b")), 0.0)
        of.taken("0001", 0.0)
        assert sent(of, 0.0) == ["0002"]

    def test_a_channel_sends_no_more_than_its_limit_at_once(self) -> None:
        of = lanes(parallel=3)
        for number in range(10):
            of.add(owed(number, chat(str(number))), 0.0)
        assert len(sent(of, 0.0)) == 3
        of.taken("0000", 0.0)
        assert len(sent(of, 0.0)) == 1

    def test_the_same_message_twice_is_one(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        of.add(owed(1), 0.0)
        assert sent(of, 0.0) == ["0001"]
        of.add(owed(1), 0.0)
        of.taken("0001", 0.0)
        assert sent(of, 0.0) == [] and "0001" not in of


class TestAcknowledgement:
    def test_what_was_written_frees_its_lane(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        of.add(owed(2), 0.0)
        sent(of, 0.0)
        of.written("0001", 0.0)
        assert sent(of, 0.0) == ["0002"]
        of.taken("0001", 1.0)
        assert "0001" not in of and "0002" in of

    def test_one_that_fails_goes_again_before_the_later_ones_and_as_a_repeat(self) -> None:
        of = lanes()
        for number in (1, 2):
            of.add(owed(number), 0.0)
            sent(of, 0.0)
            of.written(f"000{number}", 0.0)
        of.wait("0002", None, "gone", 1.0, uncertain=True)
        of.wait("0001", None, "gone", 1.0, uncertain=True)
        of.reachable(chat(), 2.0)
        (first,) = of.due(2.0)
        assert isinstance(first, Send) and first.owed.id == "0001" and first.owed.repeat

    def test_at_most_so_many_are_unacknowledged_at_one_address(self) -> None:
        of = lanes(unconfirmed=2)
        for number in (1, 2, 3):
            of.add(owed(number), 0.0)
        for name in ("0001", "0002"):
            assert sent(of, 0.0) == [name]
            of.written(name, 0.0)
        assert sent(of, 0.0) == []
        of.taken("0001", 0.0)
        assert sent(of, 0.0) == ["0003"]

    def test_silence_costs_no_attempt_and_it_goes_again_by_itself(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        of.written("0001", 0.0)
        decision = of.unacknowledged("0001", "silence", 60.0)
        assert decision.delay == 300.0 and decision.owed.attempts == 0
        assert sent(of, 359.0) == []
        assert sent(of, 360.0) == ["0001"]


class TestRetry:
    def test_each_failure_is_an_attempt_with_a_longer_ceiling(self) -> None:
        of, now = lanes(), 0.0
        of.add(owed(1), now)
        for attempt in range(1, 12):
            (send,) = of.due(now)
            assert isinstance(send, Send) and send.attempt == attempt
            wait = delay(of.retry("0001", "503", now))
            assert 0.0 <= wait <= min(300.0, 2.0 ** (attempt - 1))
            now += wait

    def test_twelve_attempts_in_less_than_a_day_are_not_the_end(self) -> None:
        of = lanes()
        of.add(owed(1, attempts=40), DAY - 1)
        sent(of, DAY - 1)
        assert isinstance(of.retry("0001", "503", DAY - 1), Defer)

    def test_a_day_with_fewer_than_twelve_attempts_is_not_the_end(self) -> None:
        of = lanes()
        of.add(owed(1, attempts=10), 6 * DAY)
        sent(of, 6 * DAY)
        assert isinstance(of.retry("0001", "503", 6 * DAY), Defer)

    def test_twelve_attempts_and_a_day_are_the_end_with_the_last_error(self) -> None:
        of = lanes()
        of.add(owed(1, attempts=11), DAY)
        of.add(owed(2), DAY)
        sent(of, DAY)
        decision = of.retry("0001", "503 from the platform", DAY)
        assert isinstance(decision, Bury)
        assert decision.reason == "given up after 12 attempts in 1 d: 503 from the platform"
        assert sent(of, DAY) == ["0002"]

    def test_seven_days_are_the_end_whatever_the_count(self) -> None:
        of = lanes(connected=False)
        of.add(owed(1), 0.0)
        assert of.wake_at(0.0) == 7 * DAY
        assert of.due(7 * DAY - 1) == []
        (decision,) = of.due(7 * DAY)
        assert isinstance(decision, Bury) and "not delivered within 7 d (0 attempts)" in decision.reason
        assert len(of) == 0 and of.wake_at(7 * DAY) is None

    def test_an_uncertain_failure_makes_the_next_send_a_repeat(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        of.retry("0001", "no reply", 0.0, uncertain=True)
        (send,) = of.due(1.0)
        assert isinstance(send, Send) and send.owed.repeat

    def test_permanent_is_the_end_at_once_in_the_platforms_words(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        assert of.permanent("0001", "403: blocked by the user", 0.0).reason == "403: blocked by the user"
        assert len(of) == 0


class TestWait:
    def test_it_lasts_exactly_as_long_as_the_platform_says_and_costs_no_attempt(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        decision = of.wait("0001", 37.0, "429", 0.5)
        assert decision.delay == 36.5
        assert of.wake_at(0.5) == 37.0
        assert sent(of, 36.999) == []
        (send,) = of.due(37.0)
        assert isinstance(send, Send) and send.attempt == 1

    def test_a_time_that_has_passed_is_a_short_back_off_and_no_tight_loop(self) -> None:
        of = lanes()
        of.add(owed(1), 100.0)
        sent(of, 100.0)
        assert 0.0 < delay(of.wait("0001", 50.0, "429", 100.0)) <= 1.0

    def test_with_nobody_there_it_waits_until_somebody_arrives(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        assert of.wait("0001", None, "nobody there", 0.0).delay is None
        assert sent(of, DAY) == []
        of.reachable(chat("another"), DAY)
        assert sent(of, DAY) == []
        of.reachable(chat(), DAY)
        assert sent(of, DAY) == ["0001"]

    def test_somebody_who_arrives_while_it_is_sent_is_not_overlooked(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        of.reachable(chat(), 0.1)
        soon = delay(of.wait("0001", None, "nobody there", 0.2))
        assert soon <= 1.0
        assert sent(of, 0.2 + soon) == ["0001"]

    def test_somebody_who_arrives_before_the_last_one_is_known_to_have_left_is_not_overlooked(self) -> None:
        of = lanes()
        for number in (1, 2):
            of.add(owed(number), 0.0)
        sent(of, 0.0)
        of.written("0001", 0.0)
        of.reachable(chat(), 0.1)
        assert sent(of, 0.1) == ["0002"]
        of.taken("0002", 0.2)
        assert delay(of.wait("0001", None, "the first reader left", 0.3)) <= 1.0


def test_a_local_fault_counts_nothing_and_is_tried_again() -> None:
    of = lanes()
    of.add(owed(1), 0.0)
    sent(of, 0.0)
    decision = of.postpone("0001", 4.0, "the disk is full", 0.0)
    assert decision.owed.attempts == 0
    assert sent(of, 3.9) == [] and sent(of, 4.0) == ["0001"]


@pytest.mark.parametrize("under_way", [False, True])
def test_what_somebody_removed_is_forgotten_and_the_next_goes(under_way: bool) -> None:
    of = lanes(connected=under_way)
    of.add(owed(1), 0.0)
    of.add(owed(2), 0.0)
    assert sent(of, 0.0) == (["0001"] if under_way else [])
    of.forget("0001", 0.0)
    of.connected("c", 0.0)
    assert sent(of, 0.0) == ["0002"] and len(of) == 1


def test_figures_tell_what_waits_and_for_how_long() -> None:
    of = lanes()
    for number in range(3):
        of.add(owed(number, chat(str(number)), born=-float(number)), 0.0)
    of.add(owed(9, chat("0")), 0.0)
    sent(of, 0.0)
    of.retry("0001", "503", 0.0)
    of.written("0002", 0.0)
    figures = of.channels(10.0)["c"]
    assert (figures.waiting, figures.in_flight, figures.unconfirmed) == (2, 1, 1)
    assert of.channels(0.0)["c"].deferred == 1
    assert figures.oldest_age == 12.0 and figures.connected and not figures.breaker_open


def test_a_lane_costs_nothing_once_it_is_empty() -> None:
    of = lanes()
    for number in range(5000):
        of.add(owed(number, chat(str(number))), 0.0)
        (name,) = sent(of, 0.0)
        of.taken(name, 0.0)
    assert len(of._timers) < 200 and not of._outlet("c").lanes
