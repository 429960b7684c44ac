"""A short message that points back is told apart from a question that explains itself."""

from __future__ import annotations

import pytest

from agentd.evidence.follow_ups import refers_back


@pytest.mark.parametrize(
    "message",
    [
        "and how do I undo that?",
        "Why?",
        "Okay, why?",
        "How do you do that?",
        "How long?",
        "What about the other one?",
        "Is it fast?",
        "Und wie lange dauert das?",
        "Warum?",
        "Et pourquoi ?",
        "¿Y cuánto cuesta?",
        "А почему?",  # noqa: RUF001 - it is Russian
    ],
)
def test_what_points_back_refers_back(message: str) -> None:
    assert refers_back(message)


@pytest.mark.parametrize(
    "message",
    [
        "What does git stash do?",
        "hello",
        "Thanks a lot!",
        "Who are you?",
        "Guten Morgen",
        "When is the rent of the garage due?",
        "How many passengers did the ferry carry in 1912?",
        "",
        "It " + "rained and rained " * 20,
    ],
)
def test_what_explains_itself_does_not(message: str) -> None:
    assert not refers_back(message)
