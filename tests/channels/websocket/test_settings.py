"""What `[channels.websocket]` may say, and that the page about it says all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from channels.websocket.settings import PORT, WebSocketSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def test_the_page_lists_every_key() -> None:
    rows = re.findall(r"^\| `channels\.websocket\.(\w+)` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    assert [key for key, _ in rows] == list(WebSocketSettings.model_fields)
    assert dict(rows)["port"] == str(PORT)


def test_it_listens_on_an_interface_not_on_a_name() -> None:
    assert WebSocketSettings(host="localhost").host == WebSocketSettings().host == "127.0.0.1"
    with pytest.raises(ValidationError):
        WebSocketSettings(host="agentd.example")
