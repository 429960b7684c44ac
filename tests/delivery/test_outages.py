"""When nobody reads, when a channel is away, and when its platform fails: what `Lanes` decides then."""

from __future__ import annotations

import random

from agentd.delivery import Defer, Lanes, Send, ToHistory
from tests.delivery.test_lanes import DAY, chat, lanes, owed, sent


class TestAbsentReader:
    def absent(self, count: int, **changes: float) -> Lanes:
        of = lanes(connected=True, **changes)
        of.add(owed(0), 0.0)
        sent(of, 0.0)
        of.wait("0000", None, "nobody there", 0.0)
        for number in range(1, count):
            of.add(owed(number), 0.0)
        return of

    def test_what_is_too_old_goes_to_the_history(self) -> None:
        of = self.absent(2, absent_age=3600.0)
        assert of.wake_at(0.0) == 3600.0
        decisions = of.due(3600.0)
        assert [type(decision) for decision in decisions] == [ToHistory, ToHistory]
        assert len(of) == 0

    def test_beyond_the_count_the_oldest_goes_to_the_history(self) -> None:
        of = self.absent(5, absent_count=3)
        assert [decision.owed.id for decision in of.due(0.0)] == ["0000", "0001"]
        of.reachable(chat(), 1.0)
        assert sent(of, 1.0) == ["0002"]

    def test_endings_come_in_bounded_lots(self) -> None:
        of = self.absent(50, absent_age=10.0)
        assert [len(of.due(10.0, endings=20)) for _ in range(4)] == [20, 20, 10, 0]

    def test_one_that_is_being_sent_to_has_no_limit_but_seven_days(self) -> None:
        of = lanes(absent_age=10.0)
        of.add(owed(1), 0.0)
        assert sent(of, 0.0) == ["0001"]
        assert isinstance(of.retry("0001", "503", 20.0), Defer)
        assert sent(of, 21.0) == ["0001"]


class TestConnection:
    def test_an_unconnected_channel_burns_no_attempt(self) -> None:
        of = lanes(connected=False)
        of.add(owed(1), 0.0)
        assert sent(of, DAY) == [] and of.wake_at(0.0) == 7 * DAY
        of.connected("c", DAY)
        (send,) = of.due(DAY)
        assert isinstance(send, Send) and send.attempt == 1

    def test_a_send_that_fails_because_the_channel_went_away_does_not_count(self) -> None:
        of = lanes()
        of.add(owed(1), 0.0)
        sent(of, 0.0)
        of.disconnected("c")
        decision = of.retry("0001", "connection lost", 0.0)
        assert isinstance(decision, Defer) and decision.owed.attempts == 0

    def test_reconnecting_ends_back_offs_but_not_what_the_platform_asked_for(self) -> None:
        of = lanes()
        of.add(owed(1, chat("1"), attempts=8), 0.0)
        of.add(owed(2, chat("2")), 0.0)
        sent(of, 0.0)
        of.retry("0001", "503", 0.0)
        of.wait("0002", 200.0, "429", 0.0)
        of.disconnected("c")
        of.connected("c", 0.0)
        assert sent(of, 0.0) == ["0001"]
        assert sent(of, 200.0) == ["0002"]

    def test_what_piled_up_is_sent_at_a_bounded_rate(self) -> None:
        of = lanes(connected=False, recovery_burst=20, recovery_rate=50.0, parallel=1000)
        for number in range(200):
            of.add(owed(number, chat(str(number))), 0.0)
        of.connected("c", 10.0)
        counts = [len(sent(of, 10.0 + tenth / 10)) for tenth in range(40)]
        assert counts[0] == 20 and all(4 <= count <= 6 for count in counts[1:36]) and sum(counts) == 200


class TestBreaker:
    def opened(self, **changes: float) -> Lanes:
        of = lanes(connected=True, **changes)
        for number in range(6):
            of.add(owed(number, chat(str(number))), 0.0)
        sent(of, 0.0)
        for number in range(5):
            of.retry(f"{number:04d}", "503", 0.0)
        return of

    def test_it_opens_after_five_failures_and_events_wait_without_attempts(self) -> None:
        of = self.opened()
        assert of.breaker_open("c")
        of.add(owed(9, chat("9")), 1.0)
        assert sent(of, 2.0) == []

    def test_one_probe_goes_and_the_rest_follows_when_it_succeeds(self) -> None:
        of = self.opened()
        of.add(owed(9, chat("9")), 1.0)
        assert sent(of, 5.0) == ["0009"]
        assert sent(of, 100.0) == []
        of.taken("0009", 100.0)
        assert not of.breaker_open("c")
        assert len(sent(of, 100.0)) == 5

    def test_what_piled_up_in_an_outage_is_paced_when_it_ends(self) -> None:
        of = self.opened(recovery_burst=3, recovery_rate=1.0)
        for number in range(10, 20):
            of.add(owed(number, chat(str(number))), 1.0)
        (probe,) = sent(of, 5.0)
        of.taken(probe, 5.0)
        of.add(owed(20, chat("20")), 5.0)
        batch = sent(of, 5.0)
        assert len(batch) == 4 and "0020" in batch
        assert len(sent(of, 6.0)) == 1

    def test_a_failed_probe_keeps_it_open_longer(self) -> None:
        of = self.opened()
        (probe,) = sent(of, 5.0)
        of.retry(probe, "503", 5.0)
        assert sent(of, 9.9) == []
        assert len(sent(of, 15.0)) == 1

    def test_one_dead_address_adds_less_than_a_second_to_everybody_else(self) -> None:
        of, now, rng = lanes(), 0.0, random.Random(3)
        of.add(owed(0, chat("dead")), 0.0)
        failures = 0
        for number in range(1, 500):
            arrives = now + rng.uniform(0.0, 400.0)
            while (wake := of.wake_at(now)) is not None and wake < arrives:
                now = wake
                for name in sent(of, now):
                    failures += 1
                    of.retry(name, "503", now)
            now = arrives
            of.add(owed(number, chat(f"alive{number % 7}")), now)
            batch = sent(of, now)
            assert f"{number:04d}" in batch
            for name in batch:
                of.retry(name, "503", now) if name == "0000" else of.taken(name, now)
        assert failures > 500
