"""The display of the prompt: it prints each finished block once, and shows the open one in the live region."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agentd.cli.advice import Explanation, as_typed
from agentd.cli.repl import render
from agentd.cli.repl.blocks import Blocks
from agentd.serving.protocol import Answer, HistoryMessage

CORRECTED = "the answer has changed; it now reads:"
INTERRUPTED = "(stopped)"


class Pages:
    """Implements `display.Display`. `put` prints text above the prompt, `width` returns the columns of the terminal."""

    def __init__(self, put: Callable[[str], Awaitable[None]], width: Callable[[], int]) -> None:
        self._put = put
        self._width = width
        self._out: list[str] = []
        self._explanation = Explanation()
        self._gap = True
        """Whether the last line that was printed is blank."""
        self._printed: list[str] = []
        """The blocks of the running answer that are on the screen, in all its attempts."""
        self._rewind()

    def _rewind(self) -> None:
        self._blocks = Blocks()
        self._fed = ""
        self._n = 0

    # --- the running answer ---

    def draft(self, text: str) -> None:
        if not text.startswith(self._fed):
            self._rewind()
        for block in self._blocks.feed(text[len(self._fed) :]):
            self._finish(block)
        self._fed = text

    def restarted(self) -> None:
        """The screen stays as it is; the next attempt is printed from where it differs."""
        self._rewind()

    def answered(self, answer: Answer) -> None:
        self.draft(answer.text)
        failed = answer.outcome == "error"
        for block in self._blocks.finish():
            self._finish(block, failed=failed)
        self._end(answer.outcome == "interrupted")
        self._sources(answer)
        self._explain(answer)
        self._printed.clear()
        self._rewind()

    def _finish(self, block: str, *, failed: bool = False) -> None:
        """Print a block unless the same one is on the screen already."""
        n, self._n = self._n, self._n + 1
        if n < len(self._printed):
            if self._printed[n].strip() == block.strip():
                return
            del self._printed[n:]
            self.note(CORRECTED)
        elif not self._printed:
            self._blank_line()  # behind what commands said meanwhile
        self._printed.append(block)
        self._print(render.error(as_typed(block), self._width()) if failed else render.block(block, self._width()))

    def _end(self, interrupted: bool) -> None:
        if interrupted:
            self._print(render.note(INTERRUPTED, self._width()))
        self._blank_line()

    def _sources(self, said: Answer | HistoryMessage) -> None:
        if said.citations:
            self._print(render.sources(said.citations, self._width()) + "\n")

    def _explain(self, answer: Answer) -> None:
        if answer.outcome != "error" and (words := self._explanation.below(answer)):
            self.note(words)
            self._blank_line()

    def _blank_line(self) -> None:
        if not self._gap:
            self._print("\n")

    def live(self, width: int, height: int) -> str:
        """The last lines of the block that is still growing, "" if there is none."""
        return render.tail(self._blocks.open, width, height) if self._blocks.open.strip() else ""

    # --- everything else ---

    def remembered(self, messages: tuple[HistoryMessage, ...]) -> None:
        for message in messages:
            if message.role == "user":
                self.asked(message.text)
                continue
            blocks = Blocks()
            for block in [*blocks.feed(message.text), *blocks.finish()]:
                self._print(render.block(block, self._width()))
            self._end(message.interrupted)
            self._sources(message)

    def asked(self, text: str, *, here: bool = True) -> None:
        self.commanded(text)
        self._print("\n")

    def reading(self, text: str) -> None:
        """Nothing to print: the line above the prompt shows it meanwhile."""

    def commanded(self, text: str) -> None:
        """A command that the person typed; its outcome follows."""
        self._blank_line()
        self._print(render.asked(text, self._width()))

    def note(self, text: str) -> None:
        self._print(render.note(as_typed(text), self._width()))

    def error(self, text: str) -> None:
        self._print(render.error(as_typed(text), self._width()))

    def _print(self, text: str) -> None:
        if text:
            self._gap = text.endswith("\n\n") or text == "\n"
            self._out.append(text)

    async def flush(self) -> None:
        """Returns when everything is on the screen, and lets the prompt draw the live region again."""
        text, self._out = "".join(self._out), []
        await self._put(text)
