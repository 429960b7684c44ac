from __future__ import annotations

from agentd.models.llama.family import FAMILIES
from agentd.models.llama.forms import arguments, fold, one_by_one, plain
from agentd.models.llama.wire import ChatMessage, Piece, ToolCall
from agentd.ports.generation import Role

GRANITE = next(family for family in FAMILIES if family.name == "granite")


def line(role: Role, text: str) -> ChatMessage:
    return ChatMessage(role=role, pieces=(Piece(text=text, trusted=False),))


def call(number: int, text: str = "{}") -> ToolCall:
    return ToolCall(call_id=f"c{number}", tool="add", arguments=text)


def result(number: int) -> ChatMessage:
    return line("tool", f"r{number}").model_copy(update={"call_id": f"c{number}", "tool": "add"})


TWO = [
    line("user", "q"),
    line("assistant", "Let me see.").model_copy(update={"calls": (call(1), call(2))}),
    result(1),
    result(2),
    line("user", "thanks"),
]


def shown(line: ChatMessage) -> str:
    return f"{line.role}: " + "".join(p.text if p.trusted else f"⟦{p.text}⟧" for p in line.pieces)


def test_several_calls_at_once_become_one_after_the_other_each_with_its_result() -> None:
    apart = one_by_one(TWO)
    assert [(found.role, [made.call_id for made in found.calls], found.call_id) for found in apart] == [
        ("user", [], ""),
        ("assistant", ["c1"], ""),
        ("tool", [], "c1"),
        ("assistant", ["c2"], ""),
        ("tool", [], "c2"),
        ("user", [], ""),
    ]
    assert [shown(found) for found in apart[1:4:2]] == ["assistant: ⟦Let me see.⟧", "assistant: "]


def test_a_conversation_with_one_call_at_a_time_stays_as_it_is() -> None:
    single = [line("user", "q"), TWO[1].model_copy(update={"calls": (call(1),)}), result(1)]
    assert one_by_one(single) == single


def test_calls_and_results_become_text_in_the_form_of_the_family() -> None:
    assert [shown(found) for found in plain(TWO, GRANITE)[1:4]] == [
        'assistant: ⟦Let me see.⟧<|tool_call|>⟦[{"name": "add", "arguments": {}}, {"name": "add", "arguments": {}}]⟧',
        "user: Result of ⟦add⟧:\n⟦r1⟧",
        "user: Result of ⟦add⟧:\n⟦r2⟧",
    ]


def test_calls_of_no_family_or_without_proper_arguments_are_told_in_words() -> None:
    torn = [line("assistant", "").model_copy(update={"calls": (call(1, "{a"),)})]
    for family in (None, GRANITE):
        assert shown(plain(torn, family)[0]) == "assistant: ⟦⟧⟦Called add with {a\n⟧"


def test_arguments_are_an_object_or_what_the_model_wrote() -> None:
    assert arguments(call(1, '{"a": 1}')) == {"a": 1}
    assert arguments(call(1, "[1]")) == "[1]" and arguments(call(1, "{")) == "{"


def test_folding_puts_together_what_one_side_said() -> None:
    folded = fold([line("system", "s"), *plain(TWO, GRANITE)])
    assert [found.role for found in folded] == ["user", "assistant", "user"]
    assert shown(folded[2]).endswith("⟦r2⟧\n\n⟦thanks⟧")


def test_folding_leaves_a_conversation_that_alternates_as_it_is() -> None:
    alternating = [line("user", "a"), line("assistant", "b"), line("user", "c")]
    assert fold(alternating) == alternating
