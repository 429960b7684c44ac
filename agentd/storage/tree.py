"""The turns of a session as a tree: each follows another one, and the way from a first turn to an end is a branch.

`parents` says which turn each one follows ("" for a first one); a turn comes after the one that it follows.
"""

from __future__ import annotations

from collections.abc import Mapping

Parents = Mapping[str, str]


def branch(parents: Parents, end: str) -> tuple[str, ...]:
    """The turns from the first one to `end`."""
    found: dict[str, None] = {}
    while end in parents and end not in found:
        found[end] = None
        end = parents[end]
    return tuple(reversed(found))


def newest_end(parents: Parents, turn: str) -> str:
    """Where the branch ends that goes through `turn` and was gone on with last."""
    below, end = {turn}, turn
    for each, parent in parents.items():
        if parent in below:
            below.add(each)
            end = each
    return end


def ends(parents: Parents) -> tuple[str, ...]:
    """The last turn of every branch, the newest first."""
    followed = set(parents.values())
    return tuple(turn for turn in reversed(list(parents)) if turn not in followed)
