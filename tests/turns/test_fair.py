"""Whose session is answered next."""

from __future__ import annotations

from agentd.records import OWNER, Principal
from agentd.turns.fair import ReadySessions

ANN, BEN = Principal(kind="chat", id="ann"), Principal(kind="chat", id="ben")


def test_principals_take_turns_and_each_has_its_sessions_in_order() -> None:
    ready = ReadySessions(4)
    for n in range(100):
        ready.put(f"a{n}", ANN)
    ready.put("b0", BEN)
    ready.put("o0", OWNER)
    ready.put("a0", ANN)
    assert [ready.take({}) for _ in range(5)] == ["a0", "b0", "o0", "a1", "a2"]


def test_one_place_is_kept_for_the_owner() -> None:
    ready = ReadySessions(4)
    ready.put("a", ANN)
    assert ready.take({BEN: 3}) is None
    ready.put("o", OWNER)
    assert ready.take({BEN: 3}) == "o"
    assert ready.take({BEN: 2, OWNER: 1}) == "a"
    alone = ReadySessions(1)
    alone.put("a", ANN)
    assert alone.take({}) == "a"


def test_one_place_is_kept_for_another_principal() -> None:
    ready = ReadySessions(4)
    ready.put("a", ANN)
    assert ready.take({ANN: 2}) is None
    ready.put("b", BEN)
    assert ready.take({ANN: 2}) == "b"
    assert ready.take({ANN: 1, BEN: 1}) == "a"


def test_nobody_waits_when_nobody_is_there() -> None:
    ready = ReadySessions(2)
    assert ready.take({}) is None
    ready.put("a", ANN)
    ready.take({})
    assert ready.take({}) is None
