"""Turns the bytes of tokens into text: complete characters, reasoning separate from the answer, no stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """A piece of the answer, or of the reasoning before it."""

    text: str
    reasoning: bool


class Assembler:
    """Feed it bytes in pieces of any size; it holds back what may be a part of a character, a tag or a stop string.

    Reasoning is the text between the two tags of `think`; with `reasoning`, it starts inside, because the prompt ended
    with the opening tag. Blanks at the beginning of the answer are dropped. Stop strings count in the answer only.
    """

    def __init__(
        self, *, stop: Sequence[str] = (), reasoning: bool = False, think: tuple[str, str] = (THINK, END_THINK)
    ) -> None:
        self._bytes = b""
        """The beginning of an incomplete character."""
        self._stop = tuple(stop)
        self._reasoning = reasoning
        self._think = think
        self._firsts = frozenset(mark[0] for mark in (*think, *stop))
        self._held = ""
        self._said_answer = False
        self.stopped = False
        """A stop string was found: nothing more will come."""

    @property
    def reasoning(self) -> bool:
        """What comes next is reasoning, not the answer."""
        return self._reasoning

    def feed(self, data: bytes) -> list[Say]:
        """What is certain now."""
        if self.stopped:
            return []
        text = self._decode(data, last=False)
        plain = (self._said_answer or self._reasoning) and not self._held and self._firsts.isdisjoint(text)
        if not plain:
            return self._take(text, last=False)
        return [Say(text=text, reasoning=self._reasoning)] if text else []

    def finish(self) -> list[Say]:
        """The rest, after the last token."""
        return [] if self.stopped else self._take(self._decode(b"", last=True), last=True)

    def _decode(self, data: bytes, *, last: bool) -> str:
        data = self._bytes + data
        text, read = codecs.utf_8_decode(data, "replace", last)
        self._bytes = data[read:]
        return text

    def _take(self, text: str, *, last: bool) -> list[Say]:
        self._held += text
        said: list[Say] = []
        while self._held and not self.stopped:
            tag = self._think[self._reasoning]
            marks = (tag,) if self._reasoning else (tag, *self._stop)
            found = min(((self._held.find(mark), mark) for mark in marks if mark in self._held), default=None)
            if found is None:
                keep = 0 if last else tail(self._held, marks)
                self._say(said, self._held[: len(self._held) - keep])
                self._held = self._held[len(self._held) - keep :]
                break
            at, mark = found
            self._say(said, self._held[:at])
            self._held = self._held[at + len(mark) :]
            if mark == tag:
                self._reasoning = not self._reasoning
            else:
                self.stopped = True
        return said

    def _say(self, said: list[Say], text: str) -> None:
        if not self._reasoning and not self._said_answer:
            text = text.lstrip()
            self._said_answer = bool(text)
        if text:
            said.append(Say(text=text, reasoning=self._reasoning))


def tail(text: str, marks: Sequence[str]) -> int:
    """The length of the longest end of the text that is a beginning of one of the marks."""
    longest = min(len(text), max(len(mark) for mark in marks) - 1)
    for length in range(longest, 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
