"""A message with a pasted text is told apart from a question."""

from __future__ import annotations

from agentd.evidence.pasted import LONGEST_QUESTION, divided


def test_a_message_is_divided_into_its_question_and_the_text_given() -> None:
    assert divided("What?\nNow?") == ("What?\nNow?", "")
    assert divided("Text.\n \nMore.\n\nTell me more") == ("Tell me more", "Text.\n\nMore.")
    assert divided("Why?\n\nText.") == ("Why?", "Text.")
    assert divided("Why?\n\nText. How?") == ("Text. How?", "Why?")
    long = "Text.\n\n" + "x" * (LONGEST_QUESTION + 1)
    assert divided(long) == (long, "")
