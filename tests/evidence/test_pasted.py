"""A message with a pasted text is told apart from a question."""

from __future__ import annotations

from agentd.evidence.pasted import LONGEST_QUESTION, MOST, PART, divided, telling


def test_a_message_is_divided_into_its_question_and_the_text_given() -> None:
    assert divided("What?\nNow?") == ("What?\nNow?", "")
    assert divided("Text.\n \nMore.\n\nTell me more") == ("Tell me more", "Text.\n\nMore.")
    assert divided("Why?\n\nText.") == ("Why?", "Text.")
    assert divided("Why?\n\nText. How?") == ("Text. How?", "Why?")
    long = "Text.\n\n" + "x" * (LONGEST_QUESTION + 1)
    assert divided(long) == (long, "")


LONG = "\n\n".join(f"Line {n} of the log says nothing at all about it." for n in range(3000))


def test_of_a_long_text_the_parts_with_words_of_the_question_are_read() -> None:
    text = f"{LONG}\n\nThe turbine broke on Monday.\n\n{LONG}"
    read = telling(text, "When did the turbine break?")
    assert "The turbine broke on Monday." in read
    assert len(read) <= MOST + MOST // PART * 2


def test_a_text_that_is_not_long_is_read_as_it_is() -> None:
    assert telling("One.\n\nTwo.", "What?") == "One.\n\nTwo."
