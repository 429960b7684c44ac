"""The JSON Schema of all messages, for programs in other languages: docs/protocol.schema.json.

`python -m agentd.serving.protocol.schema > docs/protocol.schema.json` writes it again.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.json_schema import models_json_schema

from agentd.ports.house import ToldData
from agentd.serving.protocol import reports
from agentd.serving.protocol.base import VERSION
from agentd.serving.protocol.replies import ServerMessage
from agentd.serving.protocol.requests import ClientMessage

REFERENCE = "#/$defs/{model}"


def schema() -> dict[str, Any]:
    """`client` and `server` are what either side says, `told` what the reply `told` may carry."""
    told = [model for name in reports.__all__ if issubclass(model := getattr(reports, name), ToldData)]
    client = _union(ClientMessage)
    server = _union(ServerMessage)
    _, carried = models_json_schema([(model, "serialization") for model in told], ref_template=REFERENCE)
    definitions = {**carried["$defs"], **server.pop("$defs"), **client.pop("$defs")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The messages between agentd and its clients, version {VERSION}",
        "properties": {
            "client": client,
            "server": server,
            "told": {"anyOf": [{"$ref": REFERENCE.format(model=model.__name__)} for model in told]},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _union(messages: Any) -> dict[str, Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[messages, Field(discriminator="type")])
    return adapter.json_schema(ref_template=REFERENCE)


def text() -> str:
    """As it stands in the file."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(text(), end="")
