"""Which place the id of an event names."""

from __future__ import annotations

import pytest

from agentd.errors import UsageError
from agentd.serving.protocol import Cursor
from channels.websocket.api.streams import Position, position_of

CURSOR = Cursor(epoch="a1b2c3d4e5f60718", n=311)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a1b2c3d4e5f60718:311:4:2", Position(cursor=CURSOR, stream=4, answers=2)),
        (":4:2", Position(cursor=None, stream=4, answers=2)),
    ],
)
def test_the_id_of_an_event_names_a_place(text: str, position: Position) -> None:
    assert position_of(text) == position and str(position) == text


def test_a_cursor_is_a_place_too() -> None:
    assert position_of("a1b2c3d4e5f60718:311") == Position(cursor=CURSOR)


@pytest.mark.parametrize("text", ["x", "a1:", "a1:2:3", "a1:2:3:4:5", "a1:9999999999999999", "a1:2\n", ":1"])
def test_nothing_else_is_a_place(text: str) -> None:
    with pytest.raises(UsageError):
        position_of(text)
