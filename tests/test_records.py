"""What events are made of is fit to be shown and stored, and cannot be changed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agentd.records import OWNER, Address, Citation, Record, Text, Words

HOSTILE = "\x1b[2J\u202eevil\udcff\x1b]0;never closed"


class Note(Record):
    text: Text
    why: Words


def test_texts_of_others_can_be_shown_and_stored() -> None:
    note = Note(text=f"one\n{HOSTILE}", why=HOSTILE)
    assert note.text == "one\nevil\ufffd" and note.why == "evil\ufffd"
    assert Note.model_validate_json(note.model_dump_json()) == note


def test_what_something_is_called_is_one_short_line() -> None:
    citation = Citation(n=1, title=f"{HOSTILE}\n{'x' * 1000}", source="\udcff", start=0, end=1)
    assert citation.title.startswith("evil\ufffd") and len(citation.title) == 300 and "\n" not in citation.title


def test_records_are_values() -> None:
    address = Address(channel="test", chat="c")
    assert address == Address(channel="test", account="", chat="c", thread="") and len({address, address}) == 1
    with pytest.raises(ValidationError):
        OWNER.id = "1"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Address(channel="test", chat="c", room="r")  # type: ignore[call-arg]
