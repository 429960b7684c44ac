"""Finds tool calls in an answer while it streams; what turns out to be none is text like the rest."""

from __future__ import annotations

from collections.abc import Collection

from agentd.models.llama.family import Call, Family, Unfinished
from agentd.models.llama.text import tail

LONGEST = 65_536
"""Characters that a call may have; a longer one is text."""
_BARE = ('{"name":', '{"type":"function"', '{"function":', '[{"name":', '[{"type":"function"', '[{"function":')


class CallFinder:
    """Feed it the answer in any cut; it holds back what may yet be a call."""

    def __init__(self, family: Family, offered: Collection[str]) -> None:
        self._family = family
        self._offered = offered
        self._held = ""
        self._opened: str | None = None
        """The mark behind which the held text is; None outside of a call."""
        self._searched = 0
        self._fresh = family.bare
        """Nothing but blanks yet, so that a call may begin without its mark."""
        self._after_call = False
        """Blanks that follow are no text."""

    def feed(self, text: str) -> list[str | Call]:
        """What is certain now, in order."""
        self._held += text
        found: list[str | Call] = []
        while self._step(found, last=False):
            pass
        return found

    def finish(self) -> list[str | Call]:
        """The rest, when there is no more text."""
        found: list[str | Call] = []
        while self._held or self._opened is not None:
            if not self._step(found, last=True):
                break
        return found

    def _step(self, found: list[str | Call], *, last: bool) -> bool:
        """Decide about the beginning of what is held; False where that takes more text."""
        return self._within(found, last=last) if self._opened is not None else self._outside(found, last=last)

    def _outside(self, found: list[str | Call], *, last: bool) -> bool:
        if self._fresh:
            verdict = _bare(self._held)
            if verdict is None and not last:
                return False
            self._fresh = False
            if verdict:
                self._opened = ""
                return True
        before, mark, after = self._held.partition(self._family.opens)
        if mark:
            self._say(found, before)
            self._held, self._opened, self._searched = after, mark, 0
            return True
        keep = 0 if last else tail(self._held, (self._family.opens,))
        self._say(found, self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]
        return False

    def _within(self, found: list[str | Call], *, last: bool) -> bool:
        if len(self._held) > LONGEST:
            self._give_up(found)
            return True
        closes = self._family.closes
        end = self._held.find(closes, self._searched) if closes and self._opened else -1
        if end < 0 and not last:
            self._searched = max(0, len(self._held) - len(closes))
            return False
        if end < 0:
            end, closes = len(self._held), ""
        try:
            calls = self._family.parse(self._held[:end])
        except Unfinished:
            if closes:
                self._searched = end + 1
                return True
            calls = None
        if calls is None or (not self._opened and any(call.name not in self._offered for call in calls)):
            self._give_up(found)
        else:
            found += calls
            self._after_call = True
            self._held, self._opened = self._held[end + len(closes) :], None
        return True

    def _give_up(self, found: list[str | Call]) -> None:
        """It was no call: the mark is text, and what follows it is looked at again."""
        assert self._opened is not None
        self._say(found, self._opened)
        self._opened = None

    def _say(self, found: list[str | Call], text: str) -> None:
        if self._after_call:
            text = text.lstrip()
        if not text:
            return
        self._after_call = False
        self._fresh = self._fresh and not text.strip()
        if found and isinstance(found[-1], str):
            found[-1] += text
        else:
            found.append(text)


def _bare(text: str) -> bool | None:
    """Whether a call without a mark begins here; None where it may yet."""
    dense = "".join(text[:200].split())
    if any(dense.startswith(start) for start in _BARE):
        return True
    return None if any(start.startswith(dense) for start in _BARE) else False
