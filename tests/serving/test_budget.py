"""What each principal may hold of the daemon at once, and who gives way."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from dataclasses import replace

import pytest

from agentd.errors import Busy, Unauthorized
from agentd.events import Buried, TokenEnded
from agentd.records import OWNER as ME
from agentd.records import CalledTool, CallersTool, Principal, SaidMessage, Terms
from agentd.serving.budget import ENDED, FOLLOWED, MIB, OTHER, OWNER, REMEMBERED, TOOL, Budgets, Seat, size_of
from tests.builders import IDS, SESSION, TIME, inbound, outbound

GUEST = Principal(kind="chat", id="7")
SMALL = replace(OTHER, connections=2, requests=2, arriving=100, followed=FOLLOWED + 2, questions=2, question_bytes=1000)


class House:
    """Budgets, and the reasons with which connections were cut off."""

    def __init__(self, others: int = 64) -> None:
        self.budgets = Budgets(SMALL, SMALL, others)
        self.ended: dict[str, str] = {}

    def comes(self, name: str, principal: Principal = ME, *, greeted: bool = True) -> Seat:
        seat = self.budgets.admit(principal, lambda why: self.ended.update({name: str(why)}))
        if greeted:
            seat.arrived()
        return seat


def test_who_has_said_nothing_gives_way_to_who_comes() -> None:
    house = House()
    house.comes("silent", greeted=False)
    house.comes("first")
    house.comes("second")
    assert list(house.ended) == ["silent"]
    assert "connect again" in house.ended["silent"]


def test_of_those_who_spoke_the_idle_one_that_was_used_longest_ago_gives_way() -> None:
    house = House()
    first, second = house.comes("first"), house.comes("second")
    first.arrived()
    house.comes("third")
    assert list(house.ended) == ["second"]
    first.begin()
    house.comes("fourth")
    assert list(house.ended) == ["second", "third"]
    second.leave()  # it has given everything back already
    assert len(house.budgets.of(ME)) == 2


def test_who_came_with_a_token_leaves_when_it_ends_and_is_not_let_in_again() -> None:
    house = House()
    house.budgets.admit(ME, lambda why: house.ended.update(one=why.code), token="t")
    house.budgets.admit(ME, lambda why: house.ended.update(other=why.code), token="u")
    assert house.budgets.tokens() == {"t", "u"}
    house.budgets.apply(TokenEnded(token="t", reason="the token laptop was revoked"))
    assert house.ended == {"one": "unauthorized"} and house.budgets.tokens() == {"u"}
    with pytest.raises(Unauthorized, match="laptop"):
        house.budgets.admit(ME, lambda why: None, token="t")
    for n in range(ENDED):
        house.budgets.apply(TokenEnded(token=f"later {n}", reason="x"))
    house.budgets.admit(ME, lambda why: None, token="t")


def test_strangers_share_what_is_not_kept_for_the_owner() -> None:
    house = House(others=3)
    house.comes("one", GUEST)
    house.comes("two", GUEST)
    house.comes("three", Principal(kind="chat", id="8"))
    house.comes("mine")
    house.comes("four", Principal(kind="chat", id="9"))
    assert list(house.ended) == ["one"], "the principal that has the most gives way"
    house.comes("my second")
    assert list(house.ended) == ["one"]


def test_who_connects_too_often_is_refused_until_the_second_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentd.serving.budget.time.monotonic", lambda: now)
    budgets = Budgets(SMALL, replace(SMALL, newcomers=2))
    for principal in (GUEST, Principal(kind="chat", id="8")):
        budgets.greet(principal)
        budgets.greet(principal)
        with pytest.raises(Busy, match="2 times"):
            budgets.greet(principal)
    now += 1.0
    budgets.greet(GUEST)


def test_who_has_not_connected_for_a_second_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentd.serving.budget.time.monotonic", lambda: now)
    budgets = Budgets()
    tracemalloc.start()
    try:
        for seconds in range(100):
            now = 100.0 + seconds
            for number in range(REMEMBERED):
                budgets.greet(Principal(kind="chat", id=f"{seconds}.{number}"))
        assert tracemalloc.get_traced_memory()[0] < 2 * MIB
    finally:
        tracemalloc.stop()


async def test_the_oldest_unfinished_message_gives_way_to_a_newer_one() -> None:
    house = House()
    old, new, guest = house.comes("old"), house.comes("new"), house.comes("guest", GUEST)
    await guest.arrive(100)
    await old.arrive(60)
    await new.arrive(60)
    assert list(house.ended) == ["old"]
    assert "not whole yet" in house.ended["old"]


async def test_what_is_worked_on_is_waited_for() -> None:
    house = House()
    whole, new = house.comes("whole"), house.comes("new")
    await whole.arrive(60)
    whole.arrived()
    waiting = asyncio.create_task(new.arrive(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    whole.done()
    async with asyncio.timeout(60):
        await waiting
    assert not house.ended


async def test_who_goes_gives_everything_back() -> None:
    house = House()
    seat = house.comes("one")
    await seat.arrive(100)
    seat.arrived()
    seat.follow("s")
    seat.begin()
    assert house.budgets.followed() == {"s"}
    seat.leave()
    assert house.budgets.followed() == set()
    other = house.comes("two")
    async with asyncio.timeout(60):
        await other.arrive(100)
    other.begin()
    other.begin()


def test_requests_and_followed_sessions_have_a_limit() -> None:
    house = House()
    one, two = house.comes("one"), house.comes("two")
    one.begin()
    two.begin()
    with pytest.raises(Busy, match="2 requests of yours"):
        one.begin()
    two.end()
    one.begin()
    for n in range(FOLLOWED):
        one.follow(f"s{n}")
    one.follow("s0")
    with pytest.raises(Busy, match=f"follow {FOLLOWED} "):
        one.follow("more")
    two.follow("a")
    two.follow("b")
    with pytest.raises(Busy, match="follow 66 sessions already"):
        two.follow("c")


def test_questions_without_an_answer_have_a_limit_of_number_and_of_length() -> None:
    house = House()
    first, second = inbound("one", session_id=SESSION), inbound("two", session_id=SESSION)
    for event in (first, second):
        house.budgets.check_question(ME, 3)
        house.budgets.apply(event)
    with pytest.raises(Busy, match="2 questions of yours"):
        house.budgets.check_question(ME, 3)
    house.budgets.check_question(GUEST, 3)
    house.budgets.apply(outbound(first))
    house.budgets.check_question(ME, 900)
    with pytest.raises(Busy):
        house.budgets.check_question(ME, 1000)
    gone = Buried(id=IDS.next(), time=TIME, turn_id=second.id, session_id=SESSION, dead_id=second.id, reason="r")
    house.budgets.apply(gone)
    house.budgets.check_question(ME, 1000)


def test_what_comes_with_a_question_counts_too() -> None:
    tool = CallersTool(name="t")
    call = CalledTool(call_id="c", tool="t", arguments="x" * 20)
    before = (SaidMessage(role="user", text="x" * 300), SaidMessage(role="assistant", calls=(call,)))
    terms = Terms(before=before, after=(SaidMessage(role="tool", call_id="c", text="y" * 4),), tools=(tool,))
    assert size_of(inbound("one", terms=terms)) == 3 + 300 + 20 + 4 + TOOL
    assert size_of(inbound("one")) == 3


def test_documents_of_others_have_a_limit_of_number_and_of_length() -> None:
    budgets = House().budgets
    budgets.check_document(GUEST, (OTHER.documents - 1, 0), OTHER.document_bytes)
    for held, size in (((OTHER.documents, 0), 1), ((1, OTHER.document_bytes), 1)):
        with pytest.raises(Busy, match="limits"):
            budgets.check_document(GUEST, held, size)
    House().budgets.check_document(ME, (0, 0), OTHER.document_bytes)


def test_however_much_is_refused_the_log_has_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    with caplog.at_level(logging.WARNING):
        for n in range(1000):
            house.comes(str(n), greeted=False)
    assert 1 <= len(caplog.records) <= 5


def test_the_owner_has_more_than_anybody_else() -> None:
    assert OWNER.connections > OTHER.connections and OWNER.requests > OTHER.requests
