"""What a small model says instead of an answer is recognised; what is an answer is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.evidence.replies import Circles, flaw, is_refusal

INSTRUCTIONS = "Answer the question from the passages. If they do not hold the answer, say: The documents do not say."
QUESTION = "Which magazine listed Beyoncé among the most powerful women in the world?"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("...", "empty"),
        ("[1].", "marks"),
        ("[1], [3], [4], [6], [7]", "marks"),
        ("[1, 2] [3-5].", "marks"),
        (INSTRUCTIONS, "copy"),
        ("Answer the question from the passages.", "copy"),
        (QUESTION, "copy"),
        (f"{QUESTION} [1]", "copy"),
        (f"Question: {QUESTION}", None),
        ("1966.", None),
        ("Forbes.", None),
        ("[Forbes]", None),
        ("The documents do not say.", None),
        ("Answer: 42", None),
    ],
)
def test_a_reply_is_an_answer_or_has_a_flaw(reply: str, expected: str | None) -> None:
    assert flaw(reply, told=(INSTRUCTIONS, QUESTION)) == expected


@pytest.mark.parametrize(
    "reply",
    [
        "The documents do not say.",
        "The passages do not mention the colour of the car.",
        "The provided text does not contain this information.",
        "The context doesn't provide an answer.",
    ],
)
def test_a_refusal_is_recognised(reply: str) -> None:
    assert is_refusal(reply)
    assert not is_refusal("The documents say that the rent is due on the third.")


CIRCLES = {
    "one word": "The answer is " + "no " * 40,
    "one sentence": "A fact. " + "The rent is due on the third of the month. " * 4,
    "two sentences": "First. " + "He said that it was raining hard. She said that it was not. " * 4,
    "lines": "List:\n" + "- the same item again and again\n" * 5,
    "with something between": "".join(f"The rent is due on the third of May. And {n} other things. " for n in range(5)),
    "no blanks": "abc" * 60,
}


@pytest.mark.parametrize("text", CIRCLES.values(), ids=CIRCLES)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_circles_are_seen_while_they_are_made(text: str, size: int) -> None:
    circles = Circles()
    seen = [circles.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert seen[-1]
    assert circles.began is not None and 0 < circles.began < len(text)
    assert text[: circles.began].strip()


HONEST = {
    "a list": "\n".join(f"- item {n}: {n * 37}" for n in range(60)),
    "a table": "| name | value |\n|---|---|\n" + "\n".join(f"| row {n} | {n * n} |" for n in range(60)),
    "code": "\n".join(f"    if x == {n}:\n        return {n + 1}" for n in range(40)),
    "a ruled line": "Title\n" + "-" * 200 + "\nText follows here and goes on.",
    "a sentence twice": "It is due on the third of the month. Really. It is due on the third of the month. Done.",
    "prose": "".join(
        f"In the year {1900 + n} the village had {n * 13 + 100} people and {n} mills. " for n in range(40)
    ),
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST)
def test_honest_text_is_no_circle(text: str) -> None:
    circles = Circles()
    assert not any(circles.feed(text[at : at + 7]) for at in range(0, len(text), 7))


@given(st.text(max_size=3000))
def test_any_text_can_be_fed(text: str) -> None:
    circles = Circles()
    circles.feed(text)
    flaw(text, told=(text[:50], INSTRUCTIONS))
