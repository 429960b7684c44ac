"""What `agentd ask` writes: the answer in the requested form, and meanwhile why the person has to wait."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import TextIO

from agentd.cli.advice import Explanation
from agentd.cli.say import put, say
from agentd.records import Citation
from agentd.serving import protocol
from agentd.status.usage import reading_line, usage_line
from agentd.text.plain import PlainStream, plain, plain_line


class WaitingLine:
    """One line on a terminal that the next one overwrites, and that vanishes when something else is written.

    It writes nothing to a stream that is not a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""
        self._alive = stream.isatty()

    def show(self, text: str) -> None:
        if not self._alive:
            return
        text = plain_line(text, shutil.get_terminal_size().columns - 1)
        if text == self._shown:
            return
        self._stream.write("\r" + text.ljust(len(self._shown)))
        self._stream.flush()
        self._shown = text

    def clear(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")
            self._stream.flush()
            self._shown = ""


class Output:
    """Writes the answer to `answers` and everything else to `words`; shows text live only on a terminal."""

    def __init__(self, form: str, answers: TextIO, words: TextIO, *, usage: bool = False) -> None:
        self._form = form
        self._answers = answers
        self._words = words
        self._usage = usage
        self._live = form == "text" and answers.isatty()
        self._waiting = WaitingLine(words)
        self._attempt = 0
        self._read = 0
        """How many characters of the answer have come in chunks."""
        self._shown = ""
        self._cleaning = PlainStream()

    def live(self, message: protocol.ServerMessage) -> None:
        """Show something that happened in the turn; the answer has a method of its own."""
        if self._form == "stream-json":
            self._line(message.model_dump_json())
            return
        match message:
            case protocol.State(state="running"):
                self._begun(message.attempt, message.detail)
            case protocol.State(state="tool"):
                self._waiting.show(f"using {message.detail}…")
            case protocol.Reading():
                self._waiting.show(reading_line(message.done, message.total, message.seconds))
            case protocol.Chunk(reasoning=True):
                self._waiting.show("thinking…")
            case protocol.Chunk():
                self._chunk(message)

    def _begun(self, attempt: int, detail: str) -> None:
        if attempt > self._attempt:
            self._attempt = attempt
            self.restart("" if detail else protocol.BEGINS_AGAIN)
        if detail:
            self._waiting.clear()
            say(f"agentd: {detail}", self._words)
            put(self._words, "", flush=True)
        else:
            self._waiting.show("working…")

    def _chunk(self, chunk: protocol.Chunk) -> None:
        if not self._live:
            self._waiting.show("answering…")
            return
        text = chunk.text[max(0, self._read - chunk.n) :]
        self._read += len(text)
        self._show(self._cleaning.feed(text))

    def _show(self, text: str) -> None:
        self._shown += text
        self._write(text)

    def restart(self, why: str = "") -> None:
        """The text that was shown is void, and the person is told why."""
        if self._shown:
            self._write("\n\n")
            if why:
                say(f"agentd: {why}", self._words)
        self._rewind()

    def _rewind(self) -> None:
        self._read, self._shown = 0, ""
        self._cleaning = PlainStream()

    def clear(self) -> None:
        """Remove the line that says why the person waits."""
        self._waiting.clear()

    def answer(self, answer: protocol.Answer) -> None:
        self._waiting.clear()
        if self._form != "text":
            self._line(answer.model_dump_json())
        elif answer.outcome != "error":
            self._text(answer)
            if self._words.isatty() and (words := Explanation().below(answer)):
                say(words, self._words)
        if answer.outcome == "error":
            say(f"agentd: {answer.text}", self._words)
        if self._usage and answer.usage is not None:
            say(usage_line(answer.usage), self._words)

    def _text(self, answer: protocol.Answer) -> None:
        text = plain(answer.text)
        if not text.startswith(self._shown):
            self.restart()
        self._write(text[len(self._shown) :] + "\n")
        if answer.citations:
            self._write("\n" + "\n".join(source_lines(answer.citations)) + "\n")

    def _line(self, text: str) -> None:
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._waiting.clear()
        put(self._answers, text, flush=True)


def source_lines(citations: Iterable[Citation]) -> list[str]:
    """The sources of an answer, one line for each citation."""
    return [plain(f"[{citation.n}] {citation.where}") for citation in citations]
