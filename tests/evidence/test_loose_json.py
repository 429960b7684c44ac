"""JSON as small models write it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agentd.evidence.loose_json import Extent, Reader, Unreadable


def read(text: str) -> Any:
    reader = Reader(text)
    value = reader.value()
    assert not reader.peek()
    return value


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": [1, -2.5e3, True, None, "x\n\"'\\/é"], "b": {"c": {}}}, "text", 0, [[[]]], {"": ""}, "\u2028😀"],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_read_as_it_is(value: object, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only, indent=1)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'it\\'s', \"b\": \"it's\"}", {"a": "it's", "b": "it's"}),
        ("{a: True, b: False, c: None,}", {"a": True, "b": False, "c": None}),
        ("[1, 2, ]", [1, 2]),
        ('{{"a": 1}}', {"a": 1}),
        ('{{"a": {"b": 1}}}', {"a": {"b": 1}}),
        ('{"a": {"b": [1', {"a": {"b": [1]}}),
        ('{"a": 1,', {"a": 1}),
        ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}),
        ('"\\d \\u00e4 \\ud83d\\ude00 \\ud83d"', "\\d ä 😀 \ufffd"),
        (".5", 0.5),
    ],
)
def test_what_is_nearly_json_is_read_as_it_was_meant(text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "}",
        "x",
        '"x',
        "'x\\",
        '{"a"}',
        '{"a": }',
        '{"a": 1 "b": 2}',
        "{1: 2}",
        "NaN",
        "Infinity",
        "1e999",
        "-",
        "[1 2]",
    ],
)
def test_what_could_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 100_000, "9" * 100_000, '"\\' * 100_000])
def test_hostile_text_is_refused_in_time(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(Unreadable):
        read(text)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('{"a": [1, "}"]} more', 15),
        ("{'a': \"'}\\\"\"} more", 13),
        ("f(1, (2)) more", 9),
        ('{"a": 1</tool_call>', 7),
        ('{"a": "<b>`"}```', 13),
        ('{"a": {', None),
        ('{"a": "}', None),
        ('{"a": "\\"}', None),
    ],
)
def test_the_end_of_a_value_is_found_in_a_text_that_grows(text: str, end: int | None) -> None:
    assert Extent(0).look(text) == end
    extent = Extent(0)
    for size in range(len(text) + 1):
        found = extent.look(text[:size])
        assert found is None or found == end
    assert extent.end == end
