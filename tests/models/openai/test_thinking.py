"""Reasoning in the text is separated, however it is marked and cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.models.openai.thinking import Thinking
from agentd.ports.generation import Delta, ReasoningDelta, Restarted, TextDelta


def shown(deltas: list[Delta]) -> tuple[str, str]:
    """The final answer and reasoning."""
    answer, reasoning = "", ""
    for delta in deltas:
        match delta:
            case Restarted():
                answer = reasoning = ""
            case TextDelta():
                answer += delta.text
            case ReasoningDelta():
                reasoning += delta.text
    return answer, reasoning


def told(*pieces: str, begun: bool = False) -> tuple[str, str]:
    thinking = Thinking(begun=begun)
    return shown([*(delta for piece in pieces for delta in thinking.feed(piece)), *thinking.finish()])


CASES = [
    ("", "", ""),
    ("so", "so", ""),
    ("<think>hm</think>so", "so", "hm"),
    ("\n<think>hm</think>\n\nso", "so", "hm"),
    ("<think>hm", "", "hm"),
    ("hm.\n</think>\n\nso", "so", "hm.\n"),
    ("hm.</think>so </think> on", "so </think> on", "hm."),
    ("</think>so", "so", ""),
    ("a < b </thin", "a < b </thin", ""),
    ("The tag `</think>` ends it.</think>", "The tag `</think>` ends it.</think>", ""),
    ("so <think>x</think>", "so <think>x</think>", ""),
    ("wolf \ud83d", "wolf \ufffd", ""),
]


@pytest.mark.parametrize(("text", "answer", "reasoning"), CASES)
def test_reasoning_is_told_apart(text: str, answer: str, reasoning: str) -> None:
    assert told(text) == told(*text) == (answer, reasoning)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("hm.\n</think>\n\nso", "so", "hm.\n"),
        ("<think>hm</think>so", "so", "hm"),
        ("so and so", "so and so", "so and so"),
        ("The tag `</think>` ends it.", "The tag `</think>` ends it.", "The tag `"),
    ],
)
def test_a_model_that_thought_unannounced_before_is_expected_to_do_so_again(
    text: str, answer: str, reasoning: str
) -> None:
    """Text that was wrongly taken for reasoning becomes the answer after all."""
    for pieces in ((text,), text):
        found = told(*pieces, begun=True)
        assert found[0] == answer and reasoning.startswith(found[1][:5])


def test_what_was_told_before_a_lone_end_is_void() -> None:
    thinking = Thinking()
    assert thinking.feed("hm") == [TextDelta(text="hm")]
    restarted, again, answer = thinking.feed("</think>so")
    assert isinstance(restarted, Restarted) and again == ReasoningDelta(text="hm") and answer == TextDelta(text="so")
    assert thinking.unannounced


def test_nothing_is_void_if_the_thoughts_were_expected() -> None:
    thinking = Thinking(begun=True)
    assert thinking.feed("hm") == [ReasoningDelta(text="hm")]
    assert thinking.feed("</think>so") == [TextDelta(text="so")]


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/think>", "a", "\n", "`", "\ud83d", "\udc3a"])),
    st.booleans(),
)
def test_however_it_is_cut_the_same_is_told(pieces: list[str], begun: bool) -> None:
    answer, _ = told(*pieces, begun=begun)
    assert answer == told("".join(pieces), begun=begun)[0] and answer.encode() is not None
