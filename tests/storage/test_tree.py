"""The branches of a tree of turns."""

from __future__ import annotations

import pytest

from agentd.storage import tree

LINE = {"a": "", "b": "a", "c": "b"}
FORKED = {"a": "", "b": "a", "b2": "a", "c": "b", "d": "c", "c2": "b2", "a2": ""}
"""b was gone on with after b2 was asked in its place, then b2, and at last a was asked anew."""


@pytest.mark.parametrize(
    ("parents", "end", "branch"),
    [
        ({}, "", ()),
        (LINE, "", ()),
        (LINE, "c", ("a", "b", "c")),
        (LINE, "b", ("a", "b")),
        (LINE, "x", ()),
        (FORKED, "c2", ("a", "b2", "c2")),
        (FORKED, "a2", ("a2",)),
        ({"b": "gone", "c": "b"}, "c", ("b", "c")),
        ({"a": "b", "b": "a"}, "b", ("a", "b")),
    ],
)
def test_a_branch_is_the_way_from_a_first_turn_to_its_end(
    parents: tree.Parents, end: str, branch: tuple[str, ...]
) -> None:
    assert tree.branch(parents, end) == branch


@pytest.mark.parametrize(
    ("parents", "turn", "end"),
    [
        (LINE, "a", "c"),
        (LINE, "c", "c"),
        (FORKED, "a", "c2"),
        (FORKED, "b", "d"),
        (FORKED, "b2", "c2"),
        (FORKED, "a2", "a2"),
    ],
)
def test_a_branch_ends_where_it_was_gone_on_with_last(parents: tree.Parents, turn: str, end: str) -> None:
    assert tree.newest_end(parents, turn) == end


@pytest.mark.parametrize(("parents", "ends"), [({}, ()), (LINE, ("c",)), (FORKED, ("a2", "c2", "d"))])
def test_the_ends_are_the_turns_that_none_follows(parents: tree.Parents, ends: tuple[str, ...]) -> None:
    assert tree.ends(parents) == ends
