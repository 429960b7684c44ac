"""Text to tokens and back, through llama.cpp's vocabulary of a loaded model."""

from __future__ import annotations

import ctypes
from typing import Any

from agentd.models.llama.native import native
from agentd.models.llama.text import END_THINK, THINK

_GUARD = "\ue000"
"""A character that no vocabulary merges with the next one."""


class Vocabulary:
    """The vocabulary of a model, which must stay loaded as long as this is used."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.handle: Any = native.llama_model_get_vocab(model)
        """llama.cpp's vocabulary itself, for its samplers."""
        self.size: int = native.llama_vocab_n_tokens(self.handle)
        self.bos = self._beginning()
        self.shown: frozenset[str] = frozenset({THINK, END_THINK})
        """Control tokens that an answer shows, because they are marks in it; set this before the first `piece`."""
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self._guard: list[int] = []
        if native.llama_vocab_type(self.handle) == native.LLAMA_VOCAB_TYPE_SPM:
            self._guard = self._tokenize(_GUARD, special=False)

    def _beginning(self) -> int | None:
        token: int = native.llama_vocab_bos(self.handle)
        return token if native.llama_vocab_get_add_bos(self.handle) and token >= 0 else None

    def tokenize(self, text: str, *, special: bool, after: int | None) -> list[int]:
        """The tokens of `text`; a control token that is written in it counts as one only with `special`.

        SentencePiece vocabularies put a space before every text. That is right at the beginning and after a control
        token (`after`) and wrong in the middle of a text, where a guard before the text takes the space instead.
        """
        if not self._guard or after is None or self.is_control(after):
            return self._tokenize(text, special=special)
        found = self._tokenize(_GUARD + text, special=special)
        guarded = found[: len(self._guard)] == self._guard
        return found[len(self._guard) :] if guarded else self._tokenize(text, special=special)

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count: int = native.llama_tokenize(self.handle, data, len(data), tokens, room, False, special)
            if count >= 0:
                return tokens[:count]
            room = -count

    def text(self, token: int) -> str:
        """How a token is written, also a control token; "" if there is none (-1)."""
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def piece(self, token: int) -> bytes:
        """What a generated token adds to the answer; a control token adds nothing, unless it is in `shown`."""
        known = self._pieces.get(token)
        if known is None:
            known = self._piece(token, special=False)
            if not known and self.text(token) in self.shown:
                known = self._piece(token, special=True)
            self._pieces[token] = known
        return known

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size: int = native.llama_token_to_piece(self.handle, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def is_end(self, token: int) -> bool:
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(native.llama_vocab_is_eog(self.handle, token))
        return known

    def is_control(self, token: int) -> bool:
        return bool(native.llama_vocab_is_control(self.handle, token))

    def has_control(self, text: str) -> bool:
        """Whether a text is exactly one control token."""
        found = self._tokenize(text, special=True)
        return len(found) == 1 and self.is_control(found[0])

    @property
    def bos_text(self) -> str:
        return self.text(native.llama_vocab_bos(self.handle))

    @property
    def eos_text(self) -> str:
        return self.text(native.llama_vocab_eos(self.handle))

    def chat_template(self) -> str | None:
        """The template in the model file; None if there is none."""
        source: bytes | None = native.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", "replace") if source else None
