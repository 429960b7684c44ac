from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentd.errors import ModelError
from agentd.models.llama import wire
from agentd.models.llama.wire import (
    Cancel,
    ChatMessage,
    Frames,
    Generate,
    Piece,
    Ping,
    Said,
    decode_from_child,
    decode_to_child,
)


@given(st.lists(st.integers(0, 10**9), max_size=5), st.integers(1, 40))
def test_frames_come_out_whole_however_the_stream_is_cut(numbers: list[int], step: int) -> None:
    stream = b"".join(wire.encode(Ping(n=n)) for n in numbers)
    frames = Frames()
    bodies = [body for i in range(0, len(stream), step) for body in frames.feed(stream[i : i + step])]
    assert [decode_to_child(body) for body in bodies] == [Ping(n=n) for n in numbers]


def test_a_message_is_the_same_after_the_journey() -> None:
    said = Said(items=((1, False, "Grüße \u2028 \x00"), (2, True, "…")))
    (body,) = Frames().feed(wire.encode(said))
    assert decode_from_child(body) == said


def test_a_length_that_no_message_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="4294967295"):
        Frames().feed(b"\xff\xff\xff\xff")


def test_unknown_messages_and_fields_are_errors() -> None:
    for body in (b'{"type":"dance"}', b'{"type":"cancel","id":1,"more":2}', b"nonsense"):
        with pytest.raises(ValidationError):
            decode_to_child(body)
    assert decode_to_child(b'{"type":"cancel","id":1}') == Cancel(id=1)


def test_a_request_larger_than_a_frame_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 1000)
    line = ChatMessage(role="user", pieces=(Piece(text="x" * 2000, trusted=False),))
    choice = wire.Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
    large = Generate(id=1, session="", messages=(line,), choice=choice, max_tokens=1, stop=(), priority="interactive")
    with pytest.raises(ModelError, match="too large"):
        wire.encode(large)
