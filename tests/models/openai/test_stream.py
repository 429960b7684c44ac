"""Lines as servers really send them are turned into events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.models.openai.stream import Events


def events(body: str | bytes, *, most: int = 1000) -> tuple[list[object], bool]:
    """The values of a body, and whether it ended as it should."""
    reader = Events(most=most)
    data = body.encode() if isinstance(body, str) else body
    found = [value for line in data.split(b"\n") for value in reader.feed(line)]
    return [*found, *reader.finish()], reader.done


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("data: 1\n\ndata:2\n\n", [1, 2]),
        ("data: 1", [1]),
        ('data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        ("data: 1\ndata: 2\n\n", [1, 2]),
        ('data:\ndata: ping\ndata: {"a": 1}\ndata: {"a":\ndata: 2}\n\n', [{"a": 1}, {"a": 2}]),
        ("id: 1\n\n: ping\n\nretry: 5\n\nevent: ping\n\ndata\n\ndata:\n\ndata: 1\n\n", [1]),
        ("event: x\nid: 2\ndata: 1\n\n", [1]),
        ("data: : PROCESSING\n\ndata: ping\n\ndata: 1\n\n", [1]),
        ("\ufeffdata: 1\n\n", [1]),
        ('{"a": 1}', [{"a": 1}]),
        ('{\n "id": "x",\n "data": [1]\n}', [{"id": "x", "data": [1]}]),
        ('data: 1\n\n{"error": "no"}\n', [1, {"error": "no"}]),
        ("<!doctype html><html>", []),
        ("", []),
    ],
)
def test_a_body_becomes_the_values_in_it(body: str, values: list[object]) -> None:
    assert events(body) == (values, False)


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", "data:[DONE]\n\n", "data: [DONE]", "data: 2\ndata: [DONE]\n\n"])
def test_the_end_of_a_stream_is_seen(end: str) -> None:
    values, done = events(f"data: 1\n\n{end}")
    assert done and values[0] == 1


@pytest.mark.parametrize("body", ["data: {oops\n\n", "data: [\n\n", "{oops", 'data: {"a": 1}\ndata: {oops\n\n'])
def test_damaged_json_is_an_error(body: str) -> None:
    with pytest.raises(ValueError):
        events(body)


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert events(b'data: "caf\xe9"\n\n') == (["caf\ufffd"], False)


def test_what_is_no_stream_is_kept_up_to_its_limit() -> None:
    assert events("x\n" * 100_000 + '{"a": 1}', most=10) == ([], False)
    reader = Events(most=10)
    for _ in range(100_000):
        reader.feed(b"x" * 100)
    assert not reader._other


def test_what_first_was_no_json_is_remembered_for_the_message() -> None:
    reader = Events(most=99)
    for line in (b"<html>" + b"x" * 999, b"data: ping", b""):
        reader.feed(line)
    assert reader.odd == "ping" and not reader.finish()


def test_an_event_has_a_limit_and_those_of_a_stream_without_empty_lines_are_read_one_by_one() -> None:
    with pytest.raises(ValueError):
        events("data: [\n" + "data: 1,\n" * 1000, most=1000)
    reader = Events(most=1000)
    assert sum(len(reader.feed(b'data: {"a": 1}')) for _ in range(1000)) == 999


@given(
    st.lists(st.sampled_from([b"", b"data: 1", b"data: x", b"data", b"id: 2", b": c", b"<p>", b"\xff", b"event: e"]))
)
def test_no_order_of_lines_is_an_error(lines: list[bytes]) -> None:
    events(b"\n".join(lines))
