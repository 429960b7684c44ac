"""The forms in which models write calls, and whether a whole answer is one."""

from __future__ import annotations

import pytest

from agentd.evidence.call_forms import Call, defines_tool, looks_like_call, read_calls, whole_calls
from tests.raw_calls import OFFERED, RAW, Raw

CALLS = {name: raw for name, raw in RAW.items() if raw.calls and not raw.text}
NO_CALLS = {name: raw for name, raw in RAW.items() if not raw.calls and name != "torn"}
DEFINITION = (
    '{"type": "function", "function": {"name": "calculate", "description": "Work out.", "parameters":'
    ' {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}'
)


@pytest.mark.parametrize("raw", CALLS.values(), ids=CALLS.keys())
def test_an_answer_that_is_a_call_is_known_where_no_tool_was_offered(raw: Raw) -> None:
    assert looks_like_call(raw.says, OFFERED)


_SUM = '{"name": "calculate", "arguments": {"expression": "1 + 1"}}'


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (_SUM, 1),
        (f" {_SUM}\n", 1),
        (f"```json\n{_SUM}\n```", 1),
        (f"<tool_call>\n{_SUM}\n</tool_call>\n<tool_call>\n{_SUM}\n</tool_call>", 2),
        (f"[{_SUM}, {_SUM}]", 2),
        (_SUM.removesuffix("}"), 1),
        ('calculate(expression="1 + 1")', 1),
        (f"{_SUM} It is 2.", None),
        (f"It is 2. {_SUM}", None),
        (_SUM.replace("calculate", "send_mail"), None),
        (f"[{_SUM}, {_SUM.replace('calculate', 'send_mail')}]", None),
        ('{"name": "Bob"}', None),
        ("", None),
    ],
)
def test_the_calls_of_offered_tools_are_read_if_they_are_all_that_was_said(text: str, count: int | None) -> None:
    found = whole_calls(text, {"calculate": ("expression",)})
    sums = [Call(name="calculate", arguments='{"expression": "1 + 1"}')]
    assert found == (None if count is None else sums * count)


@pytest.mark.parametrize("raw", NO_CALLS.values(), ids=NO_CALLS.keys())
def test_other_answers_are_none(raw: Raw) -> None:
    assert not looks_like_call(raw.says, OFFERED)


@pytest.mark.parametrize(
    "text",
    [
        '  {"name": "current_weather", "arguments": {"city": "Rome"}}  ',
        '```json\n{"name": "anything_at_all", "parameters": {"a": 1}}\n```',
        '```json\n{"name": "anything_at_all", "parameters": {"a": 1',
        DEFINITION,
        f"```json\n[{DEFINITION}]\n```",
        '{"name": "calculate", "arguments": {"expression: 48.5}}',
        "<tool_call>\nadd 2 and 2",
        "<function=calculate>",
        '<|tool_call|>[{"name": "x"}]',
    ],
)
def test_calls_of_any_tool_definitions_and_torn_ones_are_known_too(text: str) -> None:
    assert looks_like_call(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 4.",
        'A call looks like this: {"name": "x", "arguments": {}}',
        '```json\n{"name": "x", "arguments": {}}\n```\nThis is how a call looks.',
        '{"name": "Ada Lovelace", "born": 1815}',
        '```json\n{"type": "object", "properties": {"name": {"type": "string"}}}\n```',
        'print("hello")',
        "```python\nprint(1)\n```",
        "[1] [2]",
        "{}",
        "calculate it yourself",
    ],
)
def test_an_answer_about_calls_or_with_other_json_is_an_answer(text: str) -> None:
    assert not looks_like_call(text)


def test_a_tool_is_known_by_its_definition() -> None:
    assert defines_tool('{"type": "object", "properties": {"expression": {"type": "string"}}}')
    assert not defines_tool('{"expression": "1 + 1"}') and not defines_tool("") and not defines_tool("[1]")


@pytest.mark.parametrize(
    "text", ["[3]", "3", '"x"', '{"name": 3}', '{"name": ""}', "[" * 1000, "[[[[[[{}]]]]]]", "f(1)"]
)
def test_what_names_no_tool_is_no_call(text: str) -> None:
    assert read_calls(text, OFFERED, marked=True) is None


def test_behind_a_mark_every_name_counts() -> None:
    assert read_calls('{"name": "now"}', OFFERED) is None
    assert read_calls('{"name": "now"}', OFFERED, marked=True) == [Call(name="now", arguments="{}")]
