"""The codec keeps every event as it is."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from agentd.events import Buried, Event, OutboundEvent, ToolCallFailed, ToolCallRequested, decode, encode
from tests.builders import TIME, chunk, inbound, outbound


@pytest.mark.parametrize("event", [inbound("a\nb \u2028 \x00 🙂"), outbound(), chunk(3, "x")])
def test_an_event_survives_its_codec(event: Event) -> None:
    data = encode(event)
    assert b"\n" not in data
    assert decode(data) == event


def test_every_event_has_a_type_of_its_own() -> None:
    names = [cls.model_fields["type"].default for cls in get_args(Event)]
    assert len(names) == len(set(names)) == len(get_args(Event))


def test_foreign_data_is_refused() -> None:
    for data in (b"", b"{}", b'{"type":"unknown"}', encode(chunk(0, "x"))[:-2], b"\xff"):
        with pytest.raises(ValidationError):
            decode(data)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        outbound().text = "other"  # type: ignore[misc]


def test_a_field_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError):
        Buried(id="1", time=TIME, turn_id="t", session_id="s", dead_id="d", reason="r", extra=1)  # type: ignore[call-arg]
    assert OutboundEvent.model_config["extra"] == "forbid"


def test_what_somebody_wrote_or_is_called_can_be_shown_and_written() -> None:
    hostile = "\x1b[2J\u202eevil\udcff\x1b]0;never closed"
    call = ToolCallRequested(
        id="e", time=TIME, turn_id="t", session_id="s", call_id=hostile, tool=hostile, arguments={hostile: [hostile]}
    )
    assert (call.tool, call.arguments) == ("evil\ufffd", {"evil\ufffd": ["evil\ufffd"]})
    failed = ToolCallFailed(id="e", time=TIME, turn_id="t", session_id="s", call_id="c", error=hostile)
    for event in (call, failed):
        assert decode(encode(event)) == event
