"""Records between prompt, turn and models: immutable, with trust denied unless it is given."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from agentd.ports.generation import Message, ModelRequest, PassagePart, TextPart, ToolCallPart, ToolResultPart
from tests.builders import passage


def test_nothing_is_trusted_unless_that_is_said() -> None:
    parts = (
        TextPart(text="x"),
        PassagePart(passage=passage()),
        ToolCallPart(call_id="1", tool="t", arguments="{}"),
        ToolResultPart(call_id="1", tool="t", text="x"),
    )
    assert {part.trust for part in parts} == {"untrusted"}


def test_a_request_cannot_be_changed_on_its_way() -> None:
    request = ModelRequest(messages=(Message(role="user", parts=()),), session_id="s", turn_id="t")
    with pytest.raises(FrozenInstanceError):
        request.session_id = "another"  # type: ignore[misc]
