"""The people and the platform of `log_channel`, outside of the daemon that dies: what they wrote and what they got.

Like a platform it offers a message until it is confirmed, in order per chat, and sometimes once more after that.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WINDOW = 3
"""Messages of a chat that wait for their answers at once."""
LENGTHS = (20, 100, 700, 1500)
"""Characters of a message; its answer is a little longer."""
OFFERED_AGAIN = 0.1
"""Share of the confirmed messages that are offered once more."""


@dataclass(slots=True)
class Chat:
    """Messages are numbered from 0; `confirmed` are their turns, `answered` those whose answers arrived whole."""

    name: str
    written: list[str] = field(default_factory=list)
    confirmed: dict[int, set[str]] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)

    @property
    def is_confirmed(self) -> bool:
        return len(self.confirmed) == len(self.written)

    @property
    def owed(self) -> int:
        return len(self.written) - len(self.answered)


class Feeder:
    """Serves the socket for one daemon after another; `accepting` False writes no new messages."""

    def __init__(self, socket: Path, log: Path, chats: int, rng: random.Random) -> None:
        self._socket = socket
        self._log = log
        self._rng = rng
        self._read = 0
        self._rest = b""
        self._parts: dict[str, set[int]] = defaultdict(set)
        self._writer: asyncio.StreamWriter | None = None
        self.chats = {f"chat-{n}": Chat(f"chat-{n}") for n in range(chats)}
        self.offers = 0
        self.duplicates = 0
        self.refused = 0
        self.accepting = True
        self.all_answered = asyncio.Event()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._connected, self._socket)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            self._look()
            for chat in self.chats.values():
                if not chat.is_confirmed:
                    self._offer(chat, len(chat.written) - 1)
                self._go_on(chat)
            with suppress(ConnectionError):
                async for line in reader:
                    self._heard(json.loads(line))
        finally:
            writer.close()

    def _heard(self, line: dict[str, Any]) -> None:
        chat = self.chats[line.get("chat") or line["look"]]
        if "accepted" in line:
            number = _number(line["accepted"])
            self.duplicates += line["duplicate"]
            first = number not in chat.confirmed
            chat.confirmed.setdefault(number, set()).add(line["turn"])
            if first and self._rng.random() < OFFERED_AGAIN:
                self._offer(chat, number)
        elif "refused" in line:
            self.refused += 1
            self._offer(chat, _number(line["refused"]))
        self._look()
        self._go_on(chat)

    def _go_on(self, chat: Chat) -> None:
        """The next message, once the last one is confirmed."""
        if self.accepting and chat.is_confirmed and chat.owed < WINDOW:
            number = len(chat.written)
            length = self._rng.choice(LENGTHS)
            chat.written.append(f"{chat.name} number {number} " + "x" * length)
            self._offer(chat, number)
        if not self.accepting and not any(c.owed for c in self.chats.values()):
            self.all_answered.set()

    def _offer(self, chat: Chat, number: int) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self.offers += 1
            message = {"chat": chat.name, "id": f"{chat.name}-{number}", "text": chat.written[number]}
            self._writer.write(json.dumps(message).encode() + b"\n")

    def finish(self) -> None:
        """Write no more; `all_answered` is set when the last answer arrived."""
        self.accepting = False
        for chat in self.chats.values():
            self._go_on(chat)

    # --- what arrived ---

    def _look(self) -> None:
        """Read on in the log."""
        with suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(self._read)
            data = log.read()
            self._read += len(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in _lines(whole):
                parts = self._parts[line["out"]]
                parts.add(line["part"])
                if len(parts) == line["parts"]:
                    self.chats[line["chat"]].answered.add(_number(line["message"]))

    def arrivals(self) -> list[dict[str, Any]]:
        """Everything that arrived, in order."""
        return list(_lines(self._log.read_bytes().split(b"\n")))


def _lines(data: list[bytes]) -> Iterator[dict[str, Any]]:
    """The whole lines; what a kill cut off did not arrive."""
    for line in data:
        if line:
            with suppress(ValueError):
                yield json.loads(line)


def _number(message_id: str) -> int:
    return int(message_id.rpartition("-")[2])
