"""Messages of the client protocol: what is valid passes unchanged, everything else is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, FailFast

from agentd import events
from agentd.bus.feed import MAX_QUESTION
from agentd.errors import UsageError
from agentd.events import (
    DocumentsRetrieved,
    Event,
    PromptReading,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
    TurnFinished,
    TurnHandedOver,
    TurnInterrupted,
    TurnQueued,
    TurnStarted,
)
from agentd.records import CallersTool, Citation, SaidMessage, Terms
from agentd.serving import protocol
from tests.builders import IDS, SESSION, TIME, chunk, inbound, outbound, passage
from tests.processor import least_seconds

CITATION = Citation(n=1, title="Durability", source="/docs/durability.md", start=0, end=9)


def test_a_message_is_one_line_whatever_it_holds() -> None:
    message = protocol.Post(id="1", session=SESSION, text="a\nb\r\u2028\x00 🙂")
    line = protocol.encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert protocol.decode_client(line) == message


def test_unknown_fields_are_ignored() -> None:
    assert protocol.decode_client(b'{"type":"hello","v":1,"colour":"blue"}') == protocol.Hello()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b'{"type":"dance"}',
        b'{"type":"message"}',
        b"\xff\xfe",
        b'{"type":"message","id":"","session":"s","text":"t"}',
        b'{"type":"message","id":"1","session":"s","text":"\\ud800"}',
        b'{"type":"open","id":"1","history":-1}',
        b'{"type":"get","id":"1","what":"status","limit":' + b"9" * 5000 + b"}",
        b'{"type":"delivery","id":"1","what":"list","older_than":NaN}',
        b'{"type":"delivery","id":"1","what":"list","older_than":1e999}',
        b'{"type":"hello","type":"ack"}',
        b'{"type":"open","id":"' + b"x" * 201 + b'"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_message_is_refused_with_a_reason(line: bytes) -> None:
    with pytest.raises(UsageError, match="protocol version 1"):
        protocol.decode_client(line)


FRAME = protocol.MAX_FRAME_BYTES - 1000
SOON = 0.25
"""Seconds of the processor for one frame."""
BOMBS: dict[str, Callable[[int], bytes]] = {
    "numbers for ids": lambda n: b'{"type":"ack","ids":[' + b"0," * (n // 2) + b"0]}",
    "too many ids": lambda n: b'{"type":"ack","ids":[' + b'"",' * (n // 3) + b'""]}',
    "numbers for paths": lambda n: b'{"type":"ingest","id":"1","paths":[' + b"0," * (n // 2) + b"0]}",
    "numbers for a text": lambda n: b'{"type":"message","id":"1","session":"s","text":[' + b"0," * (n // 2) + b"0]}",
    "no type": lambda n: b'{"x":[' + b"0," * (n // 2) + b"0]}",
    "a list for a type": lambda n: b'{"type":[' + b"0," * (n // 2) + b"0]}",
    "a long type": lambda n: b'{"type":"' + b"a" * n + b'"}',
    "a second, long type": lambda n: b'{"type":"message","type":"' + b"a" * n + b'"}',
    "a long id": lambda n: b'{"type":"message","session":"s","text":"t","id":"' + b"a" * n + b'"}',
    "a long number": lambda n: b'{"type":"get","id":"1","what":"status","limit":' + b"9" * n + b"}",
}


@pytest.mark.parametrize("size", [protocol.MAX_SMALL_BYTES - 1000, FRAME])
@pytest.mark.parametrize("name", BOMBS)
def test_the_first_fault_ends_the_reading_however_much_follows(name: str, size: int) -> None:
    line = BOMBS[name](size)
    assert len(line) <= protocol.MAX_FRAME_BYTES

    def refused() -> None:
        with pytest.raises(UsageError) as refusal:
            protocol.decode_client(line)
        assert len(str(refusal.value)) < 500

    assert least_seconds(refused, SOON) < SOON


@pytest.mark.parametrize(
    "text",
    ["\\n", "\\\\", '\\"', "\\u0000", '\\\\\\"', "x", "\\ud83d\\ude42"],
)
def test_a_long_text_is_read_whatever_is_in_it(text: str) -> None:
    whole = text * (FRAME // len(text))
    line = f'{{"type":"message","id":"1","session":"s","text":"{whole}","documents":3}}'.encode()
    assert least_seconds(lambda: protocol.decode_client(line), SOON) < SOON
    message = protocol.decode_client(line)
    assert isinstance(message, protocol.Post) and len(message.text) >= FRAME // len(text)


def test_a_long_conversation_with_tools_is_one_message() -> None:
    said = tuple(SaidMessage(role="user" if n % 2 else "assistant", text="word " * 100) for n in range(1000))
    properties = {f"p{n}": {"type": "string", "description": "what it is"} for n in range(10)}
    tools = tuple(CallersTool(name=f"t{n}", parameters={"properties": properties}) for n in range(128))
    post = protocol.Post(id="1", session="s", text="t", terms=Terms(before=said, tools=tools))
    line = protocol.encode(post)
    assert len(line) > protocol.MAX_SMALL_BYTES
    assert protocol.decode_client(line) == post


@pytest.mark.parametrize(
    "terms",
    [b'{"before":[' + b'{"role":"user"},' * 400_000 + b"{}]}", b'{"stop":[' + b'"",' * 2_000_000 + b'""]}'],
)
def test_terms_with_little_text_are_refused_before_they_are_read(terms: bytes) -> None:
    line = b'{"type":"message","id":"1","session":"s","text":"t","terms":%b}' % terms

    def refused() -> None:
        with pytest.raises(UsageError, match="262,144"):
            protocol.decode_client(line)

    assert least_seconds(refused, SOON) < SOON


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_TYPES = st.sampled_from([cls.model_fields["type"].default for cls in get_args(protocol.ClientMessage)])
_FIELDS = sorted({name for cls in get_args(protocol.ClientMessage) for name in cls.model_fields} - {"type"})
_SAID = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}).encode(),
    _TYPES,
    st.dictionaries(st.sampled_from(_FIELDS), _VALUES),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=500) | _SAID)
def test_whatever_comes_is_a_message_or_refused_in_a_few_words(line: bytes) -> None:
    try:
        message = protocol.decode_client(line)
    except UsageError as error:
        assert len(str(error)) < 500
    else:
        assert protocol.decode_client(protocol.encode(message)) == message


def test_only_a_text_may_be_long() -> None:
    spaced = b'{"type":"hello"' + b" " * protocol.MAX_SMALL_BYTES + b"}"
    unknown = b'{"type":"hello","x":[' + b"[]," * protocol.MAX_SMALL_BYTES + b"[]]}"
    for line in (spaced, unknown):
        with pytest.raises(UsageError, match=" 262,144 bytes"):
            protocol.decode_client(line)
    state = b'{"type":"state","session":"s","turn":"t","state":"running","detail":"%b"}'
    with pytest.raises(UsageError, match="a state of"):
        protocol.decode_server(state % (b"x" * protocol.MAX_SMALL_BYTES))


def test_what_a_daemon_sends_is_read_at_a_price_of_its_text() -> None:
    bomb = b'{"type":"told","re":"r","data":{"x":[' + b"[]," * (FRAME // 3) + b"[]]}}"

    def refused() -> None:
        with pytest.raises(UsageError, match="little text"):
            protocol.decode_server(bomb)

    assert least_seconds(refused, SOON) < SOON
    full = protocol.Told(re="r", data={"x": [["\\" * 100, '"' * 100]] * 18_000})
    assert protocol.decode_server(protocol.encode(full)) == full


def _models(module: object) -> list[type[BaseModel]]:
    return [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, BaseModel)]


@pytest.mark.parametrize("model", [*_models(protocol), *_models(events)])
def test_no_list_collects_a_fault_for_each_of_its_items(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) in (tuple, list):
            assert any(isinstance(rule, FailFast) for rule in field.metadata), name


def test_every_message_has_a_type_of_its_own() -> None:
    for union in (protocol.ClientMessage, protocol.ServerMessage):
        names = [cls.model_fields["type"].default for cls in get_args(union)]
        assert len(names) == len(set(names))


def test_an_answer_carries_all_of_its_event() -> None:
    event = outbound(inbound(message_id="m1"), "text [1]", citations=(CITATION,))
    answer = protocol.answer_message(event, repeat=True)
    assert (answer.id, answer.in_reply_to, answer.text, answer.repeat) == (event.id, "m1", "text [1]", True)
    assert protocol.decode_server(protocol.encode(answer)) == answer


def test_an_attempt_that_begins_again_says_why() -> None:
    of = {"id": IDS.next(), "time": TIME, "turn_id": "t", "session_id": SESSION}
    message = protocol.live_message(TurnStarted(**of, attempt=2, reason="small crashed"), None)
    assert isinstance(message, protocol.State) and message.detail.endswith(": small crashed")


def test_a_long_question_is_cut_for_those_who_follow() -> None:
    asked = protocol.live_message(inbound("x" * (MAX_QUESTION + 1), message_id="m1"), None)
    assert isinstance(asked, protocol.Question) and asked.id == "m1"
    assert asked.text == "x" * MAX_QUESTION + "…"


def test_live_events_become_messages_and_the_rest_does_not() -> None:
    cursor = protocol.Cursor(epoch="e", n=1)
    of = {"id": IDS.next(), "time": TIME, "turn_id": "t", "session_id": SESSION}
    expected: dict[Event, tuple[str, str, int, int]] = {
        TurnQueued(**of, position=2): ("state", "queued", 2, 0),
        TurnStarted(**of, attempt=3): ("state", "running", 0, 3),
        TurnInterrupted(**of, reason="user"): ("state", "stopping", 0, 0),
        TurnHandedOver(**of, attempt=2, model="m", reason="r"): ("state", "running", 0, 2),
        ToolCallSucceeded(**of, call_id="c", result="1"): ("state", "running", 0, 0),
        ToolCallFailed(**of, call_id="c", error="no"): ("state", "running", 0, 0),
        ToolCallDenied(**of, call_id="c", by="owner", reason="no"): ("state", "running", 0, 0),
        TurnFinished(**of, outcome="answer"): ("state", "done", 0, 0),
    }
    for event, (kind, state, position, attempt) in expected.items():
        message = protocol.live_message(event, cursor)
        assert isinstance(message, protocol.State)
        assert (message.type, message.state, message.position, message.attempt) == (kind, state, position, attempt)
    found = protocol.live_message(DocumentsRetrieved(**of, passages=(passage(),)), cursor)
    assert isinstance(found, protocol.Found) and found.citations[0].title == "Durability"
    piece = protocol.live_message(chunk(4, "x"), cursor)
    assert isinstance(piece, protocol.Chunk) and (piece.n, piece.text, piece.cursor) == (4, "x", cursor)
    reading = protocol.live_message(PromptReading(**of, attempt=2, done=800, total=2100, seconds=40.0), cursor)
    assert isinstance(reading, protocol.Reading) and (reading.done, reading.total, reading.seconds) == (800, 2100, 40.0)
    assert protocol.live_message(inbound(kind="decision"), cursor) is None
    assert protocol.live_message(outbound(), cursor) is None


def test_a_call_is_told_with_its_arguments_and_then_with_what_came_of_it() -> None:
    of = {"id": IDS.next(), "time": TIME, "turn_id": "t", "session_id": SESSION, "call_id": "c"}
    expected: list[tuple[Event, str, str, str]] = [
        (ToolCallRequested(**of, tool="add", arguments={"é": 1}), "asked", '{"é": 1}', ""),
        (ToolCallSucceeded(**of, result="42"), "succeeded", "", "42"),
        (ToolCallSucceeded(**of, result="x" * 4001), "succeeded", "", "x" * 4000 + "…"),
        (ToolCallFailed(**of, error="no"), "failed", "", "no"),
        (ToolCallDenied(**of, by="owner", reason="later"), "denied", "", "later"),
    ]
    for event, outcome, arguments, result in expected:
        message = protocol.live_message(event, None)
        assert isinstance(message, protocol.State) and message.call is not None
        assert (message.call.id, message.call.tool) == ("c", "add" if outcome == "asked" else "")
        assert (message.call.outcome, message.call.arguments, message.call.result) == (outcome, arguments, result)


def test_half_a_character_is_no_reason_not_to_write_a_message() -> None:
    line = protocol.encode(protocol.Command(id="1", text="/model \udcff"))
    assert protocol.decode_client(line) == protocol.Command(id="1", text="/model \ufffd")


def test_what_a_client_is_told_can_be_shown() -> None:
    told = protocol.Told(re="1", data={"model": {"note": "\x1b[2Jready\udcff"}})
    assert told.data == {"model": {"note": "ready\ufffd"}}
    assert protocol.Failure(code="usage", message="\x1b]0;x\nwords").message == "\nwords"
