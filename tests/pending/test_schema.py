"""What is stored cannot change unnoticed: each version of the format has the schema of its events."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import TypeAdapter

from agentd.events import DurableEvent
from agentd.pending.file import VERSION

SCHEMAS = {2: "3c1e3aeba594471b7209aaa4c2a53918fd2075cae3456213b1872405b4ff718d"}
"""Version of the format -> digest of what its events look like."""


def bare(schema: Any) -> Any:
    """A JSON Schema without what only people read."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    prose = {name for name in ("title", "description") if isinstance(schema.get(name), str)}
    return {name: bare(value) for name, value in schema.items() if name not in prose}


def test_whoever_changes_a_durable_event_thinks_of_those_who_read_it() -> None:
    schema = bare(TypeAdapter(DurableEvent).json_schema())
    found = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()
    assert SCHEMAS.get(VERSION) == found, (
        f"InboundEvent or OutboundEvent has changed: {found}. Their files lie on disks. If an earlier agentd can do "
        "without what is new, and this one reads the files of before (a new field has a default), put this digest into "
        "SCHEMAS. Otherwise raise VERSION in agentd/pending/file.py, keep reading the version of before, and keep a "
        "directory that it wrote, as tests/whole/test_version_1.py does."
    )
