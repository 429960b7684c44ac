"""docs/protocol.md has an example of every message, and each of them is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from agentd.serving import protocol

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
EXAMPLES = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith(("    > ", "    < "))]
TOLD: dict[str, type[protocol.ToldData]] = {
    "r5": protocol.StatusReport,
    "r6": protocol.SessionList,
    "r7": protocol.History,
    "r8": protocol.SessionsFound,
    "r14": protocol.CommandReply,
    "r15": protocol.LetterList,
    "r16": protocol.Decided,
    "r17": protocol.HandingOver,
    "r18": protocol.PassageShown,
    "r19": protocol.DocumentList,
    "r20": protocol.DocumentsRemoved,
    "r21": protocol.BranchList,
    "r22": protocol.Selected,
    "r23": protocol.TokenList,
    "r24": protocol.PageTicket,
    "r31": protocol.SharedPaths,
}
"""What the examples of `told` carry, by what they answer."""


def _types(union: object) -> set[str]:
    return {kind.model_fields["type"].default for kind in get_args(union)}


def test_every_message_has_an_example() -> None:
    said = {json.loads(example[2:])["type"] for example in EXAMPLES if example.startswith(">")}
    heard = {json.loads(example[2:])["type"] for example in EXAMPLES if example.startswith("<")}
    assert said == _types(protocol.ClientMessage)
    assert heard == _types(protocol.ServerMessage)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[:40])
def test_an_example_is_a_message_with_no_member_that_there_is_not(example: str) -> None:
    line = example[2:].encode()
    given = json.loads(line)
    decoded = protocol.decode_client(line) if example.startswith(">") else protocol.decode_server(line)
    assert given.keys() <= decoded.model_dump().keys()
    if isinstance(decoded, protocol.Told):
        record = TOLD[decoded.re].model_validate(decoded.data)
        assert record.as_json() == decoded.data


def test_every_request_of_the_page_is_one_that_something_told_answers_to() -> None:
    asked = {json.loads(example[2:]).get("id") for example in EXAMPLES if example.startswith(">")}
    assert TOLD.keys() <= asked
