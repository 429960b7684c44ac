"""Separates the reasoning that a server left in the text of an answer, and completes characters that were cut."""

from __future__ import annotations

from agentd.ports.generation import Delta, ReasoningDelta, Restarted, TextDelta
from agentd.text.characters import Joiner

THINK, END_THINK = "<think>", "</think>"
WAS_THINKING = "the beginning was the reasoning of the model"
_QUOTES = ("`", "'", '"', "“", "«")


class Thinking:
    """Feed it the text of one answer in pieces.

    If the answer begins with `THINK`, the text up to `END_THINK` is reasoning. A template may have written `THINK`
    itself; then only `END_THINK` arrives, and the text before it is reasoning too: it is void (`Restarted`) and sent
    again as reasoning. `begun` says that this was so in an earlier answer; then the beginning is sent as reasoning, as
    a guess.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._joiner = Joiner()
        self._where = "guess" if begun else "start"
        self._held = ""
        self._said: list[str] = []
        """What was sent as the answer, or as reasoning by a guess, and may have to be sent again."""
        self.spoken = False
        self.unannounced = False
        """Only the end of the reasoning was marked."""

    def feed(self, piece: str) -> list[Delta]:
        self.spoken = self.spoken or bool(piece)
        return self._feed(self._joiner.feed(piece))

    def finish(self) -> list[Delta]:
        """What was held back. If the end of guessed reasoning never came, that text is the answer."""
        deltas = self._feed(self._joiner.finish())
        rest, self._held = self._held, ""
        if self._where == "guess":
            return [*deltas, *_text("".join(self._said) + rest)]
        return [*deltas, *(_reasoning(rest) if self._where == "thoughts" else _text(rest))]

    def _feed(self, text: str) -> list[Delta]:
        if not text:
            return []
        if self._where in ("rest", "blank"):
            return _text(text) if self._where == "rest" else self._blank(text)
        self._held += text
        if self._where in ("start", "guess") and (waits := self._begin()) is not None:
            return waits
        return self._open() if self._where in ("answer", "guess") else self._thoughts()

    def _begin(self) -> list[Delta] | None:
        """Decide at the very beginning whether it is `THINK`; an empty list as long as that is not known."""
        if self._said:
            return None
        begun = self._held.lstrip()
        if THINK.startswith(begun[: len(THINK)]):
            if len(begun) < len(THINK):
                return []
            self._held, self._where = begun[len(THINK) :], "thoughts"
        elif self._where == "start":
            self._where = "answer"
        return None

    def _thoughts(self) -> list[Delta]:
        thought, end, rest = self._held.partition(END_THINK)
        if end:
            return [*_reasoning(thought), *self._answer(rest)]
        return _reasoning(self._cut())

    def _open(self) -> list[Delta]:
        """Text in which the end of reasoning may still come whose beginning was not marked."""
        before, end, rest = self._held.partition(END_THINK)
        if not end:
            return self._tell(self._cut())
        earlier = "".join(self._said)
        if THINK in earlier + before or (earlier + before).endswith(_QUOTES):
            guessed, self._where = self._where == "guess", "rest"
            held, self._held = self._held, ""
            return _text(earlier + held if guessed else held)
        self.unannounced = True
        if self._where == "guess":
            return [*_reasoning(before), *self._answer(rest)]
        void = [Restarted(reason=WAS_THINKING)] if earlier else []
        return [*void, *_reasoning(earlier + before), *self._answer(rest)]

    def _tell(self, text: str) -> list[Delta]:
        if text:
            self._said.append(text)
        return _reasoning(text) if self._where == "guess" else _text(text)

    def _answer(self, rest: str) -> list[Delta]:
        """Everything from here on is the answer, except blanks at its beginning."""
        self._held, self._where = "", "blank"
        return self._blank(rest)

    def _blank(self, text: str) -> list[Delta]:
        if text := text.lstrip():
            self._where = "rest"
        return _text(text)

    def _cut(self) -> str:
        """The held text up to what may be the beginning of `END_THINK`."""
        keep = next((n for n in range(len(END_THINK) - 1, 0, -1) if self._held.endswith(END_THINK[:n])), 0)
        cut = len(self._held) - keep
        safe, self._held = self._held[:cut], self._held[cut:]
        return safe


def _text(text: str) -> list[Delta]:
    return [TextDelta(text=text)] if text else []


def _reasoning(text: str) -> list[Delta]:
    return [ReasoningDelta(text=text)] if text else []
