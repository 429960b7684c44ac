"""What `/api/openapi.json` says is so: schemathesis asks every route for what it may answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import JsonValue

from agentd.testing.model import ScriptedModel
from tests.channels.websocket.api.api import asked, owner, token
from tests.channels.websocket.web import web

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


async def test_every_route_answers_as_the_description_says(tmp_path: Path) -> None:
    """`/api/events` has no end; its own tests look at it."""
    rates: dict[str, JsonValue] = {"requests_per_minute": 0, "questions_per_minute": 0}
    async with web(tmp_path, ScriptedModel(), rates) as gateway, owner(gateway) as http:
        await asked(http)
        options = {
            "--header": f"Authorization: Bearer {await token(gateway)}",
            "--phases": "fuzzing",
            "--max-examples": "5",
            "--checks": ",".join(CHECKS),
            "--exclude-path": "/api/events",
            "--seed": "1",
        }
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{gateway.address}/api/openapi.json", "--no-color"),
            *(part for option in options.items() for part in option),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
