"""Errors tell people what to do and programs what happened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentd import errors
from agentd.cli import EXIT_CODES
from agentd.errors import AgentdError, DeliveryFailure, ModelError, Permanent, Retry, StateInUse, Wait

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AgentdError)]


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    shared = {"StateInUse", "TooOften"}
    codes = [kind.code for kind in KINDS if kind.__name__ not in shared]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_exit_code_is_documented(kind: type[AgentdError]) -> None:
    assert kind.exit_code in EXIT_CODES


def test_the_holder_of_a_state_directory_is_told() -> None:
    assert StateInUse("in use", pid=42).pid == 42


def test_the_three_ways_in_which_a_channel_fails_are_told_apart() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert Wait("later", until=until).until == until
    assert Retry("lost", uncertain=True).uncertain and not Retry("refused").uncertain
    assert {Wait, Retry, Permanent} <= set(DeliveryFailure.__subclasses__())
    assert not issubclass(DeliveryFailure, AgentdError), "a failed delivery is no error of a command"


def test_the_words_of_an_error_can_be_shown_whoever_said_them() -> None:
    assert str(ModelError("\x1b[2Jit said \udcff")) == "it said \ufffd"
    assert str(Retry("\x1b]0;title\nlost")) == "\nlost"
    assert len(str(ModelError("x" * 1_000_000))) < 11_000
