"""The JSON Schema of the messages is that of the models, and of this version."""

from __future__ import annotations

import json
from pathlib import Path

from agentd.serving.protocol import schema

FILE = Path(__file__).resolve().parents[2] / "docs" / "protocol.schema.json"


def test_the_file_is_current() -> None:
    """If it is not: python -m agentd.serving.protocol.schema > docs/protocol.schema.json"""
    assert FILE.read_text() == schema.text()


def test_every_message_and_every_report_is_in_it() -> None:
    written = json.loads(FILE.read_text())
    assert set(written["properties"]) == {"client", "server", "told"}
    for side in ("client", "server"):
        for message in written["properties"][side]["oneOf"]:
            name = message["$ref"].removeprefix("#/$defs/")
            assert "type" in written["$defs"][name]["properties"]
