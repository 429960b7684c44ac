"""A tool that changes something, and can be made to wait for a decision before it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agentd.ports.tools import ToolContext, Waiting
from agentd.tools.arguments import Arguments


class NoteArguments(Arguments):
    text: str


class Notes:
    """Implements `ports.Tool` and `ports.Hesitant`: a call gives its text to `note`, and must never do so twice.

    A call waits `until` then for a decision; with None it runs at once.
    """

    name = "note"
    description = "Note a text."
    arguments = NoteArguments
    side_effects = True

    def __init__(self, note: Callable[[str], object], *, until: datetime | None = None) -> None:
        self._note = note
        self._until = until

    def waits(self, arguments: NoteArguments, context: ToolContext) -> Waiting | None:
        return None if self._until is None else Waiting(what=f"Note {arguments.text!r}?", until=self._until)

    async def run(self, arguments: NoteArguments, context: ToolContext) -> str:
        self._note(arguments.text)
        return f"noted {arguments.text}"
