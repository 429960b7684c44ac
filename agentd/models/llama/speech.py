"""What a request says: its tokens' bytes as answer, reasoning and tool calls, and the messages that tell of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from agentd.models.llama.calls import CallFinder
from agentd.models.llama.family import Call
from agentd.models.llama.text import Assembler, Say
from agentd.models.llama.wire import Called, FromChild, Said


class Speech:
    """Text of one request; without a `finder` calls are text."""

    def __init__(self, assembler: Assembler, finder: CallFinder | None) -> None:
        self._assembler = assembler
        self._finder = finder
        self.calls = 0
        """How many were found."""

    @property
    def stopped(self) -> bool:
        """A stop string was met: nothing more will come."""
        return self._assembler.stopped

    @property
    def reasoning(self) -> bool:
        return self._assembler.reasoning

    def feed(self, data: bytes) -> list[Say | Call]:
        """What is certain now."""
        return self._sort(self._assembler.feed(data))

    def finish(self) -> list[Say | Call]:
        """The rest, when there are no more tokens."""
        found = self._sort(self._assembler.finish())
        return found + self._pieces(self._finder.finish()) if self._finder else found

    def _sort(self, says: Sequence[Say]) -> list[Say | Call]:
        if self._finder is None:
            return list(says)
        found: list[Say | Call] = []
        for say in says:
            found += [say] if say.reasoning else self._pieces(self._finder.feed(say.text))
        return found

    def _pieces(self, pieces: Sequence[str | Call]) -> list[Say | Call]:
        self.calls += sum(isinstance(piece, Call) for piece in pieces)
        return [Say(text=piece, reasoning=False) if isinstance(piece, str) else piece for piece in pieces]


class Outbox:
    """Messages to the daemon in the order in which they were made; what a step says goes out together."""

    def __init__(self, send: Callable[[FromChild], None]) -> None:
        self._send = send
        self._said: list[tuple[int, bool, str]] = []

    def say(self, number: int, found: Sequence[Say | Call], *, calls: int) -> None:
        """What the request `number` says; of its `calls` calls so far the last ones are among it."""
        index = calls - sum(isinstance(piece, Call) for piece in found)
        for piece in found:
            if isinstance(piece, Say):
                self._said.append((number, piece.reasoning, piece.text))
                continue
            call_id = f"call_{secrets.token_hex(4)}"
            self.send(Called(id=number, index=index, call_id=call_id, tool=piece.name, arguments=piece.arguments))
            index += 1
        if not found:
            self._said.append((number, False, ""))

    def send(self, message: FromChild) -> None:
        """After everything that was said before."""
        self.flush()
        self._send(message)

    def flush(self) -> None:
        if self._said:
            self._send(Said(items=tuple(self._said)))
            self._said.clear()
