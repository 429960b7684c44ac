"""What one turn says, as pieces that can be sent on: what was sent cannot be taken back.

An attempt that begins again repeats what was sent before, or says something else, which then follows an empty line.
"""

from __future__ import annotations

from agentd.serving import protocol

BREAK = "\n\n"


class Speech:
    """Of one turn; it is fed what a client hears and gives the text that is new."""

    def __init__(self, turn: str) -> None:
        self.turn = turn
        self.running = False
        """Whether the turn runs, so that to stop its session means to stop it."""
        self.began = False
        """Whether the model has begun to read or to say something."""
        self._attempt = 0
        self._sent: list[str] = []
        self._length = 0
        """Of what was sent."""
        self._behind: str | None = None
        """What was said in this attempt, as long as that is not yet what was sent."""

    def feed(self, message: protocol.ServerMessage) -> str:
        """The text that is new with this message; "" for what says nothing of this turn."""
        if getattr(message, "turn", "") != self.turn:
            return ""
        match message:
            case protocol.State():
                self.running = message.state in ("running", "tool")
            case protocol.Reading():
                self.began = True
            case protocol.Chunk(reasoning=False):
                self.began = True
                return self._chunk(message)
        return ""

    def finish(self, answer: protocol.Answer) -> str:
        """What of the whole answer is still to be sent."""
        return self._send(answer.text)

    def _chunk(self, chunk: protocol.Chunk) -> str:
        if chunk.attempt > self._attempt:
            self._attempt, self._behind = chunk.attempt, ""
        if chunk.attempt < self._attempt:
            return ""
        said = self._length if self._behind is None else len(self._behind)
        if chunk.n > said:
            return ""  # a gap, which the answer fills
        if self._behind is None and chunk.n == said:
            return self._sends(chunk.text)
        earlier = "".join(self._sent) if self._behind is None else self._behind
        return self._send(earlier[: chunk.n] + chunk.text)

    def _send(self, whole: str) -> str:
        """What of the text so far is still to be sent."""
        sent = "".join(self._sent)
        if sent.startswith(whole):
            self._behind = None if len(whole) == len(sent) else whole
            return ""
        new = _added(sent, whole)
        self._sent, self._length, self._behind = [whole], len(whole), None
        return new

    def _sends(self, text: str) -> str:
        self._sent.append(text)
        self._length += len(text)
        return text


def _added(sent: str, whole: str) -> str:
    """What makes the whole text of what was sent, or repeats it after an empty line if it became another one."""
    if whole.startswith(sent):
        return whole[len(sent) :]
    same = next((n for n, (one, other) in enumerate(zip(sent, whole, strict=False)) if one != other), 0)
    rest = whole[same:]
    return rest if rest.startswith(BREAK) else BREAK + whole
