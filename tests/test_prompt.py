"""Prompts keep their beginning, hold what fits, and cite only what was retrieved."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agentd import prompt
from agentd.events import Citation
from agentd.generation import Message, PassagePart, TextPart
from agentd.ports import StoredMessage
from tests.builders import TIME, passage


def history(turns: int, size: int = 10, start: int = 0) -> list[StoredMessage]:
    lines = []
    for n in range(start, start + turns):
        lines.append(StoredMessage(turn_id=f"t{n}", role="user", text="q" * size, time=TIME))
        lines.append(StoredMessage(turn_id=f"t{n}", role="assistant", text="a" * size, time=TIME))
    return lines


def text_of(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def count(text: str) -> int:
    return len(text)


def test_the_order_is_system_then_history_then_passages_and_question() -> None:
    messages = prompt.build(question="Why?", passages=[passage()], history=history(1), budget=100_000)
    assert [m.role for m in messages] == ["system", "user", "assistant", "user"]
    newest = messages[-1].parts
    assert isinstance(newest[1], PassagePart) and newest[1].passage == passage()
    assert isinstance(newest[-1], TextPart) and newest[-1].text == "Why?"


def test_only_what_agentd_wrote_is_trusted() -> None:
    messages = prompt.build(question="Why?", passages=[passage()], history=history(1), budget=100_000)
    for message in messages:
        for part in message.parts:
            own = isinstance(part, TextPart) and part.text in (
                prompt.SYSTEM,
                prompt.BEFORE_PASSAGES,
                prompt.AFTER_PASSAGES,
            )
            assert part.trust == ("trusted" if own else "untrusted")


def test_without_passages_nothing_is_said_of_them() -> None:
    messages = prompt.build(question="Why?", passages=[], history=[], budget=100_000)
    assert messages[-1].parts == (TextPart(text="Why?"),)


def test_an_interrupted_answer_is_marked_in_the_history() -> None:
    line = StoredMessage(turn_id="t", role="assistant", text="half", time=TIME, interrupted=True)
    messages = prompt.build(question="Why?", passages=[], history=[line], budget=100_000)
    assert text_of(messages[1]) == "half\n[interrupted]"


def test_whole_turns_are_cut_from_the_oldest() -> None:
    kept = prompt.trim(history(10), 100, count)
    assert kept[0].role == "user"
    assert kept[-1].turn_id == "t9"
    assert sum(len(line.text) for line in kept) <= 100


def test_the_prefix_rests_between_cuts() -> None:
    starts = [prompt.trim(history(n), 200, count)[0].turn_id for n in range(1, 40)]
    cuts = sum(earlier != later for earlier, later in pairwise(starts))
    assert starts[0] == "t0" and starts[-1] != "t0"
    assert cuts <= 39 // 3 + 1


def test_a_history_that_fits_is_kept_whole() -> None:
    lines = history(3)
    assert prompt.trim(lines, 1000, count) == lines


def test_nothing_of_the_history_fits_where_the_question_fills_the_budget() -> None:
    messages = prompt.build(question="q" * 500, passages=[], history=history(3), budget=100, count=count)
    assert [m.role for m in messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("text", "checked", "cited"),
    [
        ("It survives [1].", "It survives [1].", [1]),
        ("It survives [1][7].", "It survives [1].", [1]),
        ("Invented [9] here.", "Invented here.", []),
        ("Both [2] and [1], twice [1].", "Both [2] and [1], twice [1].", [1, 2]),
        ("In `a[9]` and\n```\nb[9]\n```\nleft alone.", "In `a[9]` and\n```\nb[9]\n```\nleft alone.", []),
        ("An open ```\nfence[1]", "An open ```\nfence[1]", []),
        ("No marks.", "No marks.", []),
    ],
)
def test_a_source_that_was_not_retrieved_is_dropped(text: str, checked: str, cited: list[int]) -> None:
    result, citations = prompt.check_citations(text, [passage(1), passage(2)])
    assert result == checked
    assert [c.n for c in citations] == cited
    assert all(type(c) is Citation for c in citations)


def test_brackets_are_left_alone_where_nothing_was_retrieved() -> None:
    assert prompt.check_citations("See [1].", []) == ("See [1].", ())


def test_a_passage_is_rendered_with_its_number_and_place() -> None:
    assert prompt.render_passage(passage(2, "Text.")) == "[2] Durability, Crash\nText.\n"
