"""What asks for a fact is told apart from what asks for work, from small talk and from sums."""

from __future__ import annotations

import pytest

from agentd.evidence.questions import asks_for_facts, wants_documents


@pytest.mark.parametrize(
    "message",
    [
        "When is the rent due?",
        "who wrote the minutes of March",
        "How many people live in Gambat",
        "Wann ist die Miete fällig?",
        "wo steht der Drucker",
        "Où habite Marie ?",
        "¿Cuándo vence el contrato?",
        "Когда заседание",
        "会议什么时候开始",
        "Explain the retention of dead letters.",
    ],
)
def test_a_question_asks_for_facts_with_and_without_its_mark(message: str) -> None:
    assert asks_for_facts(message) and wants_documents(message)


@pytest.mark.parametrize(
    "message",
    [
        "Write a poem about otters.",
        "Translate this into German: good night",
        "Can you write a mail to my landlord?",
        "Kannst du mir helfen?",
    ],
)
def test_work_and_what_is_said_to_the_agent_are_not_questions_for_facts(message: str) -> None:
    assert not asks_for_facts(message)


@pytest.mark.parametrize("message", ["hello", "Thanks a lot!", "17.5 * 23 - 4", "Summarize this."])
def test_small_talk_sums_and_summaries_need_no_documents(message: str) -> None:
    assert not wants_documents(message) and not asks_for_facts(message)
