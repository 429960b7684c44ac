"""What a request says: the bytes of its tokens as answer, reasoning and tool calls, and the messages about them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from agentd.evidence.call_forms import Call
from agentd.models.llama.calls import CallFinder
from agentd.models.llama.text import Assembler, Say
from agentd.models.llama.wire import Called, FromChild, Said


class Speech:
    """The text of one request; without a `finder`, calls are text."""

    def __init__(self, assembler: Assembler, finder: CallFinder | None) -> None:
        self._assembler = assembler
        self._finder = finder
        self.calls = 0
        """How many calls were found."""

    @property
    def stopped(self) -> bool:
        """A stop string was found: nothing more will come."""
        return self._assembler.stopped

    @property
    def reasoning(self) -> bool:
        return self._assembler.reasoning

    def feed(self, data: bytes) -> Sequence[Say | Call]:
        """What is certain now."""
        says = self._assembler.feed(data)
        return says if self._finder is None else self._sort(says, self._finder)

    def finish(self) -> Sequence[Say | Call]:
        """The rest, after the last token."""
        says = self._assembler.finish()
        if self._finder is None:
            return says
        return [*self._sort(says, self._finder), *self._pieces(self._finder.finish())]

    def _sort(self, says: Sequence[Say], finder: CallFinder) -> list[Say | Call]:
        found: list[Say | Call] = []
        for say in says:
            found += [say] if say.reasoning else self._pieces(finder.feed(say.text))
        return found

    def _pieces(self, pieces: Sequence[str | Call]) -> list[Say | Call]:
        self.calls += sum(isinstance(piece, Call) for piece in pieces)
        return [Say(text=piece, reasoning=False) if isinstance(piece, str) else piece for piece in pieces]


class Outbox:
    """Sends messages to the daemon in their order; text since the last message is sent together."""

    def __init__(self, send: Callable[[FromChild], None]) -> None:
        self._send = send
        self._said: list[tuple[int, bool, str]] = []

    @property
    def holds(self) -> bool:
        """Whether there is text that was not sent yet."""
        return bool(self._said)

    def say(self, number: int, found: Sequence[Say | Call], *, calls: int) -> None:
        """Add what the request `number` says. It has made `calls` calls so far, including those in `found`."""
        index = calls and calls - sum(isinstance(piece, Call) for piece in found)
        for piece in found:
            if isinstance(piece, Say):
                self._said.append((number, piece.reasoning, piece.text))
                continue
            call_id = f"call_{secrets.token_hex(4)}"
            self.send(Called(id=number, index=index, call_id=call_id, tool=piece.name, arguments=piece.arguments))
            index += 1
        if not found:
            self._said.append((number, False, ""))

    def forget(self, number: int) -> None:
        """Drop the text of this request that was not sent yet."""
        self._said = [item for item in self._said if item[0] != number]

    def send(self, message: FromChild) -> None:
        """Send this message, after all text that was said before."""
        self.flush()
        self._send(message)

    def flush(self) -> None:
        if self._said:
            self._send(Said(items=tuple(self._said)))
            self._said.clear()
