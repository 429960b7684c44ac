"""The tool that tests let change something."""

from __future__ import annotations

from agentd.ports.tools import Hesitant, Tool, ToolContext
from agentd.records import OWNER
from agentd.testing.tools import NoteArguments, Notes
from tests.builders import SESSION, TIME

CONTEXT = ToolContext(
    principal=OWNER, session_id=SESSION, turn_id="t", call_id="c", sources=tuple, cite=lambda passages: passages
)


async def test_it_notes_and_waits_if_it_is_told_to() -> None:
    noted: list[str] = []
    tool: Tool[NoteArguments] = Notes(noted.append)
    assert await tool.run(NoteArguments(text="a"), CONTEXT) == "noted a" and noted == ["a"]
    assert isinstance(tool, Hesitant) and tool.waits(NoteArguments(text="a"), CONTEXT) is None
    waiting = Notes(noted.append, until=TIME).waits(NoteArguments(text="b"), CONTEXT)
    assert waiting is not None and waiting.until == TIME and "b" in waiting.what
