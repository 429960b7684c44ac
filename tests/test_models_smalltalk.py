"""Greetings and thanks are told from questions, in several languages."""

from __future__ import annotations

import pytest

from agentd.models.smalltalk import is_small_talk, lacks_topic

TALK = """
hello | Hi there! | Thanks a lot. | Who are you? | What can you do? | good morning | help
danke schön | Wie geht es dir? | merci beaucoup | ¡Hola! | привет | 你好
"""
QUESTIONS = """
Why? | translate hello to german | When is the rent due, please? | Who are your customers in Berlin? | 你好世界的天气
"""


def each(texts: str) -> list[str]:
    return [text.strip() for line in texts.strip().splitlines() for text in line.split("|")]


@pytest.mark.parametrize("message", each(TALK))
def test_small_talk_is_recognised(message: str) -> None:
    assert is_small_talk(message)


@pytest.mark.parametrize("message", ["", *each(QUESTIONS)])
def test_a_question_is_none(message: str) -> None:
    assert not is_small_talk(message)


def test_what_stands_in_any_sentence_has_no_topic() -> None:
    assert lacks_topic("What's up?") and lacks_topic("Why?")
    assert not lacks_topic("What is the rent?")
    assert not lacks_topic("the " * 9)
