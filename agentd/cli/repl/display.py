"""The interface through which a conversation is shown: by the prompt with its pages, or as plain lines."""

from __future__ import annotations

from typing import Protocol

from agentd.serving.protocol import Answer, HistoryMessage


class Display(Protocol):
    """It is called in the order of the conversation, with text that is free of escape sequences."""

    def asked(self, text: str, *, here: bool = True) -> None:
        """A message, at the place where its answer will follow; `here` if it was typed here and not elsewhere."""
        ...

    def reading(self, text: str) -> None:
        """The model begins to read a prompt: how much it is, and how long that takes."""
        ...

    def draft(self, text: str) -> None:
        """The whole text of the running answer so far; longer with every call until `restarted` or `answered`."""
        ...

    def restarted(self) -> None:
        """The draft is void: the answer is being made again."""
        ...

    def answered(self, answer: Answer) -> None:
        """The end of the running answer, or a whole answer that had no draft."""
        ...

    def remembered(self, messages: tuple[HistoryMessage, ...]) -> None:
        """Lines of the history, oldest first."""
        ...

    def note(self, text: str) -> None:
        """A message of the program itself."""
        ...

    def error(self, text: str) -> None:
        """Something failed; the conversation goes on."""
        ...

    async def flush(self) -> None:
        """Returns when all of it is on the screen."""
        ...
