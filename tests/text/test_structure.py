"""What lies outside of strings is counted whatever the strings hold."""

from __future__ import annotations

import pytest

from agentd.text.structure import nesting, outside_of_strings


@pytest.mark.parametrize(
    ("text", "bytes_outside"),
    [
        (b"", 0),
        (b"[0,0]", 5),
        (b'{"a":"b,c"}', 3),
        (rb'["a\"[","\\"]', 3),
        (rb'["\\\"[[[[",0]', 4),
    ],
)
def test_bytes_outside_of_strings_are_counted(text: bytes, bytes_outside: int) -> None:
    assert outside_of_strings(text) == bytes_outside


@pytest.mark.parametrize(
    ("value", "depth"), [(1, 0), ("[[", 0), ([], 1), ({"a": 1}, 1), ([1, {"a": [[]]}, [2]], 4), ({"a": [], "b": {}}, 2)]
)
def test_how_deep_a_value_is_nested(value: object, depth: int) -> None:
    assert nesting(value) == depth
