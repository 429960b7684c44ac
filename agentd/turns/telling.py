"""What a turn says, piece by piece: shown as it comes, with sources, and stopped if it goes round in circles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from agentd.evidence.call_openings import Offered, opening
from agentd.evidence.marking import Marker
from agentd.evidence.replies import Circles
from agentd.text.plain import PlainStream

Show = Callable[[int, str, bool], Awaitable[None]]
"""Shows a piece: its offset in characters, its text, whether it is reasoning."""

HELD = 400
"""At most so many characters are held back while they may turn out not to be meant for people."""
LONGEST_CALL = 8192
"""The same for what may be a call of a tool that a caller brings."""
LONGEST = 1024 * 1024
"""The most characters of an answer, and of its reasoning: clients read no longer message, and people would not
either."""
_SUSPECTS = ("```json", "{", "<tool_call>", "[{")


def below(text: str, more: str) -> str:
    """The two texts as paragraphs; only one of them if the other is empty."""
    return f"{text}\n\n{more}" if text.strip() and more else more or text


class Telling:
    """The text of one turn. It has the marks of its sources from when `mark` is called."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._earlier = ""
        """What was said before the last tool was called."""
        self._raw: list[str] = []
        """What the model has said since, as it said it."""
        self._told: list[str] = []
        """The same with marks, as it is shown."""
        self._held = ""
        self._length = {False: 0, True: 0}
        """Characters shown so far, of the answer and of the reasoning."""
        self._said = 0
        """Characters that the model has said, in all rounds."""
        self._marker: Marker | None = None
        self._circles = Circles()
        self._cleaning = {False: PlainStream(), True: PlainStream()}
        """Of the answer and of the reasoning: what a model writes is cleaned before it is shown or kept."""
        self.notice = ""
        """What agentd says below that, or in its place."""
        self.verbatim = False
        """Everything that the model says counts, even in circles."""
        self.callers: Offered | None = None
        """The tools that a caller brings: only what may be a call of one of them is held back; None if there are
        none."""

    @property
    def text(self) -> str:
        """All that was said, with marks."""
        return self._earlier + "".join(self._told)

    @property
    def raw(self) -> str:
        """What the model itself has said since the last tool was called."""
        return "".join(self._raw)

    @property
    def used(self) -> tuple[int, ...]:
        """The numbers that the cited passages had, in the order of their marks."""
        return tuple(self._marker.used) if self._marker else ()

    @property
    def marks(self) -> bool:
        return self._marker is not None

    def mark(self, rests: Callable[[str], Collection[int]]) -> None:
        """From here on agentd marks the sources."""
        self._marker = Marker(rests)

    def unmark(self) -> None:
        """The model that speaks from here on marks its sources itself."""
        self._marker = None

    async def say(self, text: str) -> bool:
        """Whether the answer may go on: False once it goes round in circles or is too long."""
        text = text[: max(0, LONGEST - self._said)]
        self._said += len(text)
        return await self._take(self._cleaning[False].feed(text))

    async def _take(self, text: str) -> bool:
        self._raw.append(text)
        circles = not self.verbatim and self._circles.feed(text)
        self._held += text
        if not self._waits():
            await self._tell(self._held)
            self._held = ""
        return not (circles or self.too_long)

    @property
    def too_long(self) -> bool:
        return self._said >= LONGEST

    async def reason(self, text: str) -> None:
        n = self._length[True]
        text = self._cleaning[True].feed(text)[: max(0, LONGEST - n)]
        if not text:
            return
        self._length[True] += len(text)
        await self._show(n, text, True)

    async def finish(self) -> None:
        """This round has ended: what was held back is said now."""
        if rest := self._cleaning[False].finish():
            await self._take(rest)
        await self._tell(self._held, last=True)
        self._held = ""

    async def add(self, text: str) -> None:
        """Something of agentd's own behind what the model said."""
        self._told.append(text)
        await self._shown(text)

    async def notify(self, text: str) -> None:
        """Something that agentd says itself: it is shown, but does not count as said by the model."""
        self.notice = below(self.notice, text)
        await self._shown(f"\n\n{text}" if self._length[False] else text)

    def next_round(self) -> None:
        """A tool is called: what was said stays, and the model goes on behind it."""
        self._earlier = self.text
        self._raw, self._told = [], []
        self._circles = Circles()

    @property
    def in_circles(self) -> bool:
        return self._circles.began is not None

    def cut_circle(self) -> None:
        """Only what was said before the answer began to repeat itself counts; nothing if it did so from the start."""
        first, began = self._circles.first, self._circles.began
        kept = self.raw[:began].rstrip() if self.raw[:first].strip() else ""
        self._raw, self._held = [kept], ""
        if self._marker is None:
            self._told = [kept]
            return
        self.mark(self._marker.rests)
        self._told = [self._marker.feed(kept)]

    def number(self, passage: int) -> int:
        """The number of this passage's mark; a new number if it does not have one yet."""
        assert self._marker is not None
        return self._marker.number(passage)

    async def restart(self, *, everything: bool = False) -> None:
        """What was said since the last tool, or everything, is void; what stays is shown again."""
        if everything:
            self._earlier = ""
        self._raw, self._told, self._held, self.notice = [], [], "", ""
        self._length = {False: 0, True: 0}
        self._said = len(self._earlier)
        self._circles = Circles()
        self._cleaning = {False: PlainStream(), True: PlainStream()}
        if self._marker is not None:
            self.mark(self._marker.rests)
        if self._earlier:
            await self._shown(self._earlier)

    async def _tell(self, text: str, *, last: bool = False) -> None:
        if self._marker is not None:
            text = self._marker.feed(text) + (self._marker.finish() if last else "")
        if not text:
            return
        if self._earlier and not self._told and not self._earlier.endswith("\n"):
            self._earlier += "\n\n"
            await self._shown("\n\n" + text)
        else:
            await self._shown(text)
        self._told.append(text)

    async def _shown(self, text: str) -> None:
        n = self._length[False]
        self._length[False] += len(text)
        await self._show(n, text, False)

    def _waits(self) -> bool:
        """The beginning of what may turn out not to be an answer is held back until that is known."""
        if self._told or len(self._held) > (HELD if self.callers is None else LONGEST_CALL):
            return False
        if self.callers is not None:
            return opening(self._held, 0, self.callers) != "no"
        if self.verbatim:
            return False
        start = self._held.lstrip()
        return any(start.startswith(suspect) or suspect.startswith(start) for suspect in _SUSPECTS)
