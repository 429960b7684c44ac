"""Numbers of passages are given once in a turn."""

from __future__ import annotations

from agentd.tools.sources import Sources
from tests.builders import passage


def test_numbers_go_on_where_the_earlier_ones_ended() -> None:
    sources = Sources()
    assert [one.n for one in sources.add([passage(1), passage(2)])] == [1, 2]
    assert [one.n for one in sources.add([passage(1, chunk_id=7), passage(2, chunk_id=8)])] == [3, 4]
    assert [one.n for one in sources.passages] == [1, 2, 3, 4]


def test_the_same_place_keeps_its_number() -> None:
    sources = Sources()
    sources.add([passage(1, chunk_id=5), passage(2, chunk_id=6)])
    found = sources.add([passage(1, chunk_id=6), passage(2, chunk_id=9)])
    assert [(one.n, one.chunk_id) for one in found] == [(2, 6), (3, 9)]
    assert [one.n for one in sources.passages] == [1, 2, 3]


def test_a_number_that_was_withdrawn_is_not_given_again() -> None:
    sources = Sources()
    sources.add([passage(1), passage(2)])
    sources.withdraw([2, 99])
    assert [one.n for one in sources.add([passage(2)])] == [3]
    assert [one.n for one in sources.passages] == [1, 3]


def test_a_model_may_number_what_it_cites_anew() -> None:
    sources = Sources()
    sources.add([passage(n, chunk_id=n) for n in (1, 2, 3)])
    cited = sources.renumber((3, 99, 1))
    assert [(one.n, one.chunk_id) for one in cited] == [(1, 3), (2, 1)]
    assert sources.passages == cited
    assert [one.n for one in sources.add([passage(1, chunk_id=9)])] == [3]
