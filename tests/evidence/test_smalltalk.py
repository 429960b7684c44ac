"""Greetings, thanks, sums and wishes for a summary are told from questions, in several languages."""

from __future__ import annotations

import pytest

from agentd.evidence.smalltalk import asks_summary, is_arithmetic, is_small_talk, lacks_topic

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


SUMMARIES = """
Summarize this | Summarise the text, please. | Sum this up | sum it up for me | TL;DR | tldr please | give me the gist
Can you summarize this for me? | a short summary in three sentences | Fasse den Text kurz zusammen. | Zusammenfassung
"""
TOPICS = """
What is the sum? | Summarize the chapter about owls | Who wrote the summary of the budget? | What is the deadline?
Make it short | What are the main points?
"""


@pytest.mark.parametrize("message", each(SUMMARIES))
def test_a_wish_for_a_summary_is_recognised(message: str) -> None:
    assert asks_summary(message)


@pytest.mark.parametrize("message", ["", *each(TOPICS)])
def test_a_question_with_a_topic_wants_no_summary(message: str) -> None:
    assert not asks_summary(message)


@pytest.mark.parametrize("message", ["2+2?", "What is 17 * 23?", "2 - 2", "12 / 12 = ?", "12\u00d712", "5-3", "7"])
def test_a_sum_is_recognised(message: str) -> None:
    assert is_arithmetic(message)


@pytest.mark.parametrize(
    "message", ["", "What is 124?", "What happened on 2026-03-14?", "C++ 11", "Who paid 2+2 euros?"]
)
def test_a_number_that_may_stand_in_a_document_is_no_sum(message: str) -> None:
    assert not is_arithmetic(message)
