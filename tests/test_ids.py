"""Ids sort by the moment they were given, whatever the clock does."""

from __future__ import annotations

from agentd.ids import IdSource, is_id, time_of


def test_ids_grow_while_the_clock_stands_still_and_goes_back() -> None:
    times = iter([100, 100, 50, 200])
    source = IdSource(lambda: next(times))
    ids = [source.next() for _ in range(4)]
    assert ids == sorted(ids)
    assert len({i[:16] for i in ids}) == 4


def test_an_id_sorts_after_every_id_that_was_seen_on_disk() -> None:
    source = IdSource(lambda: 5)
    source.seen("00000000000003e8-00000000")
    assert source.next() > "00000000000003e8-ffffffff"


def test_two_sources_at_the_same_time_give_different_ids() -> None:
    assert IdSource(lambda: 1).next() != IdSource(lambda: 1).next()


def test_an_id_tells_its_time() -> None:
    assert time_of(IdSource(lambda: 1_700_000_000_500_000_000).next()) == 1_700_000_000.5


def test_only_the_exact_form_is_an_id() -> None:
    assert is_id(IdSource().next())
    for foreign in ("", "../etc/passwd", "00000000000003e8-0000000g", "00000000000003e8-00000000\n", "A" * 25):
        assert not is_id(foreign)
