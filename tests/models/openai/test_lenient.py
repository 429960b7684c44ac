"""Values of any kind are read generously, or left out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.models.openai import lenient

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_value_is_an_error(value: object) -> None:
    assert isinstance(lenient.text(value), str) and isinstance(lenient.thoughts(value), str)
    assert isinstance(lenient.arguments(value), str)
    assert len(lenient.name(value, 10)) <= 10 and lenient.name(value, 10).isprintable()
    assert 0 <= lenient.tokens(value) <= lenient.MOST_TOKENS
    assert math.isfinite(lenient.seconds(value))
    assert all(isinstance(item, dict) for item in lenient.mappings(value)) and isinstance(lenient.mapping(value), dict)
    assert lenient.number(value) is None or isinstance(lenient.number(value), int)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", "nul", "\ufffd"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        lenient.read_json(text)


def test_a_number_of_a_million_digits_is_read_at_once_as_something_absurd() -> None:
    assert lenient.read_json("[1, -20, 1" + "0" * 1_000_000 + "]") == [1, -20, math.inf]
