"""What a caller's scopes allow of the protocol, over the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from agentd.ports.channels import Caller
from agentd.records import OWNER, SCOPES, Scope, Sender
from agentd.rights import NEEDED
from agentd.serving import protocol
from agentd.testing.clients import MemoryChannel
from tests.built_channels import in_memory
from tests.house import running

REQUESTS: tuple[protocol.Request, ...] = (
    protocol.Open(id="r"),
    protocol.Watch(id="r"),
    protocol.Get(id="r", what="sessions"),
    protocol.Search(id="r", text="owls"),
    protocol.Command(id="r", text="/help"),
    protocol.Command(id="r", text="/model"),
    protocol.Command(id="r", text="/MODEL none"),
    protocol.Upload(id="r", name="a.md", data=""),
    protocol.ListDocuments(id="r"),
    protocol.Ingest(id="r", paths=("/nowhere",)),
    protocol.Delivery(id="r", what="list"),
    protocol.HandOver(id="r"),
    protocol.Tokens(id="r", what="list"),
    protocol.Ticket(id="r"),
)


def test_every_request_needs_a_scope() -> None:
    kinds = {kind.model_fields["type"].default for kind in get_args(protocol.Request)}
    assert kinds == NEEDED.keys()


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_a_request_outside_of_the_scopes_is_forbidden_whoever_asks(tmp_path: Path, scope: Scope) -> None:
    channel = MemoryChannel("terminal")
    caller = Caller(principal=OWNER, sender=Sender(id="laptop"), scopes=frozenset({scope}), token="t")
    async with running(tmp_path / "s", None, in_memory(channel)), channel.client(caller) as client:
        for n, request in enumerate(REQUESTS):
            asked = request.model_copy(update={"id": f"r{n}"})
            await client.say(asked)
            reply = await client.reply(asked)
            assert (getattr(reply, "code", "") == "forbidden") == (_needed(request) != scope), request


def _needed(request: protocol.Request) -> Scope:
    if isinstance(request, protocol.Command) and request.text.lower().startswith("/model"):
        return "admin"
    return NEEDED[request.type]
