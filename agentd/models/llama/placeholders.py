"""Keeps untrusted text out of chat templates: a template gets a placeholder, and the text becomes a separate piece."""

from __future__ import annotations

import json
import re
from random import SystemRandom
from typing import Any

from agentd.models.llama.wire import ChatMessage, Piece

_CONTROL_CHARACTERS = re.compile(r"[<>|\[\]{}\u2581\uff5c]")
"""Every control token of the vocabularies in use contains one of these, so text without them is only text."""


class Placeholders:
    """The placeholders of one rendering."""

    def __init__(self) -> None:
        self._nonce = f"{SystemRandom().getrandbits(64):020}"
        self._texts: list[str] = []
        self.of_newest: set[int] = set()
        """The texts of the newest message."""
        self.seen: set[int] = set()
        """The texts whose placeholders came back."""

    def content(self, message: ChatMessage) -> str:
        """A message for the template. Blanks around untrusted text stay visible, because templates trim."""
        start = len(self._texts)
        content = "".join(piece.text if piece.trusted else self._put_inner(piece.text) for piece in message.pieces)
        self.of_newest = set(range(start, len(self._texts)))
        return content

    def value(self, value: Any) -> Any:
        """A JSON value for the template; strings in it that could hold control tokens become placeholders."""
        match value:
            case str():
                return self._put(value) if _CONTROL_CHARACTERS.search(value) else value
            case dict():
                return {self.value(key): self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case _:
                return value

    def _put_inner(self, text: str) -> str:
        inner = text.strip()
        if not inner:
            return text
        before = text[: len(text) - len(text.lstrip())]
        return f"{before}{self._put(inner)}{text[len(before) + len(inner) :]}"

    def _put(self, text: str) -> str:
        self._texts.append(text)
        return f"\ue000{self._nonce}{len(self._texts) - 1}\ue001"

    def pieces(self, rendered: str) -> tuple[Piece, ...]:
        """The rendered text, cut at the placeholders. If one stands as a JSON string, its text is escaped."""
        pieces: list[Piece] = []
        parts = re.split(f"\ue000{self._nonce}([0-9]+)\ue001", rendered)
        for i, part in enumerate(parts):
            if i % 2:
                text = self._texts[int(part)]
                quoted = parts[i - 1].endswith('"') and parts[i + 1].startswith('"')
                self.seen.add(int(part))
                pieces.append(Piece(text=json.dumps(text, ensure_ascii=False)[1:-1] if quoted else text, trusted=False))
            elif part:
                pieces.append(Piece(text=part, trusted=True))
        return tuple(pieces)
