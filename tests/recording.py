"""A display that writes down what it is asked to show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentd.serving.protocol import Answer, HistoryMessage

DEADLINE = 60.0


class RecordingDisplay:
    """Implements `agentd.cli.repl.display.Display`; `shown` has one line for each call, drafts only the newest."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self._changed = asyncio.Event()

    def asked(self, text: str, *, here: bool = True) -> None:
        self.shown.append(f"asked{'' if here else ' elsewhere'}: {text}")

    def reading(self, text: str) -> None:
        self.shown.append(f"reading: {text}")

    def draft(self, text: str) -> None:
        if self.shown and self.shown[-1].startswith("draft: "):
            self.shown.pop()
        self.shown.append(f"draft: {text}")

    def restarted(self) -> None:
        if self.shown and self.shown[-1].startswith("draft: "):
            self.shown.append("restarted")

    def answered(self, answer: Answer) -> None:
        if self.shown and self.shown[-1].startswith("draft: "):
            self.shown.pop()
        self.shown.append(f"{answer.outcome}: {answer.text}")

    def remembered(self, messages: tuple[HistoryMessage, ...]) -> None:
        self.shown += [f"remembered {message.role}: {message.text}" for message in messages]

    def note(self, text: str) -> None:
        self.shown.append(f"note: {text}")

    def error(self, text: str) -> None:
        self.shown.append(f"error: {text}")

    async def flush(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def shows(self, line: str) -> None:
        """Returns when this was shown."""
        await self.until(lambda: line in self.shown)
