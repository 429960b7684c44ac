"""A model's arguments become checked ones, or words that let it call again."""

from __future__ import annotations

import pytest
from pydantic import Field

from agentd.tools.arguments import Arguments, Misunderstood, check, parse, schema


class Trip(Arguments):
    """For readers of the code."""

    title: str = Field(description="Where to.", max_length=5)
    days: int = 1


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ('{"a": [1, "x"]}', {"a": [1, "x"]}),
        ("", {}),
        (" \n", {}),
        ('{"a": "wolf \\ud83d\\udc3a \\ud83d"}', {"a": "wolf 🐺 \ufffd"}),
    ],
)
def test_a_json_object_is_read_and_nothing_is_an_empty_one(text: str, parsed: object) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "null", "{'a': 1}", "[" * 5000, '{"a":1} x'])
def test_what_is_no_json_object_is_told(text: str) -> None:
    with pytest.raises(Misunderstood, match="one JSON object"):
        parse(text)


def test_wrong_text_is_repeated_in_part_only() -> None:
    with pytest.raises(Misunderstood) as caught:
        parse("x" * 10_000)
    assert len(str(caught.value)) < 400


def test_each_argument_that_does_not_fit_is_named() -> None:
    with pytest.raises(Misunderstood, match=r"title: String .* at most 5 .*days: .*integer.*to: Extra") as caught:
        check(Trip, {"title": "Madeira", "days": "many", "to": "x"})
    assert "takes: title, days" in str(caught.value)


def test_of_thousands_of_faults_some_are_named() -> None:
    with pytest.raises(Misunderstood, match="and 6993 more") as caught:
        check(Trip, {"title": "Rome", **{f"k{n}" + "x" * 500: n for n in range(7001)}})
    assert len(str(caught.value)) < 4000


def test_arguments_that_fit_become_a_record() -> None:
    assert check(Trip, {"title": "Rome", "days": "3"}) == Trip(title="Rome", days=3)


def test_the_schema_says_what_a_call_needs_and_no_more() -> None:
    """An argument may be called as what is left out."""
    assert schema(Trip) == {
        "type": "object",
        "properties": {"title": {"type": "string", "description": "Where to."}, "days": {"type": "integer"}},
        "required": ["title"],
    }
