"""What a conversation asks of whatever shows it: the prompt with its pages, or plain lines."""

from __future__ import annotations

from typing import Protocol

from agentd.serving.protocol import Answer, Line


class Display(Protocol):
    """Called in the order of the conversation; everything that it gets is free of escape sequences."""

    def asked(self, text: str, *, here: bool = True) -> None:
        """A message, at the place where its answer will follow; `here` if it was typed here and not elsewhere."""
        ...

    def reading(self, text: str) -> None:
        """The model begins to read a prompt; how much that is and how long it takes."""
        ...

    def draft(self, text: str) -> None:
        """The whole text of the running answer so far; longer with every call until `restarted` or `answered`."""
        ...

    def restarted(self) -> None:
        """What was drafted is void: the answer is being made again."""
        ...

    def answered(self, answer: Answer) -> None:
        """The end of the running answer, or one that came without any draft."""
        ...

    def remembered(self, lines: tuple[Line, ...]) -> None:
        """Lines of the history, oldest first."""
        ...

    def note(self, text: str) -> None:
        """A word of the program itself."""
        ...

    def error(self, text: str) -> None:
        """Something failed; the conversation goes on."""
        ...

    async def flush(self) -> None:
        """Returns when all of it is on the screen."""
        ...
