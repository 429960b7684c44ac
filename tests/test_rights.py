"""Who may do what: the whole table, for everybody that there can be."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from agentd.errors import Forbidden, UsageError
from agentd.records import OWNER, Principal
from agentd.rights import FOR_THE_OWNER, PAGE_SCOPES, Action, local_principal, may, require, within

ANN = Principal(kind="user", id="1001")
OTHERS = (ANN, Principal(kind="person", id="web:ann"), Principal(kind="chat", id="phone:1001"))
ACTIONS: tuple[Action, ...] = get_args(Action)


def test_the_owner_may_do_everything_to_everybody() -> None:
    assert all(may(OWNER, action, of) for action, of in product(ACTIONS, (None, OWNER, *OTHERS)))


@pytest.mark.parametrize("who", OTHERS)
def test_everybody_else_uses_what_is_their_own_and_nothing_of_the_house(who: Principal) -> None:
    for action in ACTIONS:
        allowed = {of for of in (OWNER, *OTHERS) if may(who, action, of)}
        assert allowed == (set() if action in FOR_THE_OWNER else {who})


def test_whoever_is_refused_is_told_why_and_what_to_do_instead() -> None:
    for action in ("ingest", "administer", "letters", "hand_over", "tokens", "share"):
        require(OWNER, action)
        with pytest.raises(UsageError, match="owner"):
            require(ANN, action)
    with pytest.raises(UsageError, match="--upload"):
        require(ANN, "ingest")


def test_a_user_of_the_machine_is_the_owner_or_a_member_of_the_group_or_nobody() -> None:
    assert local_principal(1000, (), {0, 1000}, None) == OWNER
    assert local_principal(1001, (7, 8), {0, 1000}, 8) == ANN
    assert local_principal(1001, (7, 8), {0, 1000}, None) is None
    assert local_principal(1001, (7, 8), {0, 1000}, 9) is None
    assert local_principal(1001, (7, 8), {0, 1000, 1001}, 8) == OWNER


def test_what_somebody_came_with_is_good_for_its_scopes_alone() -> None:
    within(frozenset({"chat"}), "chat")
    for scopes, needed in ((frozenset({"chat"}), "admin"), (PAGE_SCOPES, "admin"), (frozenset(), "chat")):
        with pytest.raises(Forbidden, match=needed):
            within(scopes, needed)  # type: ignore[arg-type]
