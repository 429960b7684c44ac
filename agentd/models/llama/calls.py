"""Finds tool calls in an answer while it streams; everything else is text.

A call begins after the mark of the model's family, wherever that stands, or at the beginning of a line in one of the
forms of `agentd.evidence.call_openings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agentd.evidence.call_forms import BEHIND, Call, read_calls
from agentd.evidence.call_openings import Offered, Opening, opening, value_begins
from agentd.evidence.loose_json import Extent
from agentd.models.llama.family import Family, Unfinished
from agentd.models.llama.text import tail

LONGEST = 65_536
"""Characters of a call after a mark; a longer one is text."""
LONGEST_BARE = 4096
"""The same without a mark, which is shorter because everything that looks like such a call is held back."""
_BLANKS = re.compile(r"\s{0,1000}")


class CallFinder:
    """Feed it the answer in pieces of any size; it holds back what may be a call.

    It also returns calls of tools that were not `offered`, if they are certainly calls.
    """

    def __init__(self, family: Family, offered: Offered) -> None:
        self._family = family
        self._offered = offered
        self._held = ""
        self._step: Callable[[list[str | Call], bool], bool] = self._outside
        """Decides about the beginning of the held text; False if that takes more text."""
        self._mark = ""
        """The text before the held text, which belongs to the answer if this is not a call."""
        self._marked = False
        """`_mark` is the family's own mark."""
        self._closes = ""
        """What may follow the call."""
        self._extent = Extent(0)
        self._searched = 0
        self._line = True
        """The held text begins a line."""
        self._after_call = False
        """A call was just found, so the blanks that follow do not belong to the text."""

    def feed(self, text: str) -> list[str | Call]:
        """The text and the calls that are certain now, in order."""
        self._held += text
        return self._decide(last=False)

    def finish(self) -> list[str | Call]:
        """The rest, after the end of the text."""
        return self._decide(last=True)

    def _decide(self, *, last: bool) -> list[str | Call]:
        found: list[str | Call] = []
        while (self._held or (last and self._mark)) and self._step(found, last):
            pass
        return found

    # --- Outside of a call -------------------------------------------------------------------------------------------

    def _outside(self, found: list[str | Call], last: bool) -> bool:
        if self._after_call and not self._pass_rest(last):
            return False
        mark = self._held.find(self._family.opens)
        at = self._line_from(0)
        while at is not None and (mark < 0 or _first(self._held, at) < mark):
            begins = opening(self._held, at, self._offered) if self._held[at] != "\n" else "no"
            if isinstance(begins, Opening):
                self._open(found, at, begins)
                return True
            if begins == "unsure" and not last:
                self._say(found, at)
                return False
            at = self._line_from(at + 1)
        if mark >= 0:
            self._open_marked(found, mark)
            return True
        keep = 0 if last else tail(self._held, (self._family.opens,))
        self._say(found, len(self._held) - keep)
        return False

    def _line_from(self, at: int) -> int | None:
        """The position of the first line that begins at or after `at` in the held text."""
        if at == 0 and self._line:
            return 0
        end = self._held.find("\n", max(0, at - 1))
        return end + 1 if 0 <= end < len(self._held) - 1 else None

    def _pass_rest(self, last: bool) -> bool:
        """Skip what still belongs to the call before; False if more of that may follow."""
        self._held = self._held.lstrip(BEHIND)
        if self._closes and self._held.startswith(self._closes):
            self._held, self._closes = self._held[len(self._closes) :].lstrip(BEHIND), ""
        return bool(self._held) and (last or not self._closes.startswith(self._held))

    def _open(self, found: list[str | Call], at: int, begins: Opening) -> None:
        self._say(found, at)
        start = begins.start - at
        self._mark, self._held = self._held[:start], self._held[start:]
        self._marked, self._extent = False, Extent(0)
        self._closes = begins.closes or (self._closes if self._after_call else "")
        self._step = self._value

    def _open_marked(self, found: list[str | Call], at: int) -> None:
        self._say(found, at)
        opens = self._family.opens
        self._mark, self._held = opens, self._held[len(opens) :]
        self._marked, self._closes, self._searched = True, self._family.closes, 0
        self._step = self._behind_mark

    # --- Within a call -----------------------------------------------------------------------------------------------

    def _behind_mark(self, found: list[str | Call], last: bool) -> bool:
        start = _first(self._held, 0)
        own, rest = self._family.own, self._held[start:]
        if own and rest.startswith(own):
            self._step = self._own
            return True
        begins = value_begins(self._held, 0, self._offered, marked=True)
        if not last and (begins == "unsure" or (own and own.startswith(rest))):
            return False
        if begins == "yes":
            self._mark, self._held = self._mark + self._held[:start], rest
            self._extent, self._step = Extent(0), self._value
        else:
            self._give_up(found, 0)
        return True

    def _value(self, found: list[str | Call], last: bool) -> bool:
        """A call in JSON or in the form of a function call: it ends with its last bracket."""
        most = LONGEST if self._marked else LONGEST_BARE
        end = self._extent.look(self._held)
        if (end if end is not None else len(self._held)) > most:
            self._give_up(found, most)
            return True
        if end is None and not last:
            return False
        end = len(self._held) if end is None else end
        calls = read_calls(self._held[:end], self._offered, marked=self._marked)
        if calls is None:
            self._give_up(found, end)
        else:
            self._call(found, calls, end)
        return True

    def _own(self, found: list[str | Call], last: bool) -> bool:
        """A call in the family's own form: it ends with the closing mark, unless that stands in a string."""
        closes = self._family.closes
        end = self._held.find(closes, self._searched)
        if (end if end >= 0 else len(self._held)) > LONGEST:
            self._give_up(found, LONGEST)
            return True
        if end < 0 and not last:
            self._searched = max(0, len(self._held) - len(closes))
            return False
        unclosed = end < 0
        end = len(self._held) if unclosed else end
        try:
            call = self._family.parse(self._held[:end])
        except Unfinished:
            call = None
            if not unclosed:
                self._searched = end + 1
                return True
        if call is None:
            self._give_up(found, end)
        else:
            self._call(found, [call], end)
        return True

    def _call(self, found: list[str | Call], calls: list[Call], end: int) -> None:
        found += calls
        self._held, self._mark = self._held[end:], ""
        self._after_call = self._line = True
        self._step = self._outside

    def _give_up(self, found: list[str | Call], examined: int) -> None:
        """This is not a call: the mark and what was examined are text; go on with what follows."""
        self._held = self._mark + self._held
        examined += len(self._mark)
        self._mark = self._closes = ""
        self._step = self._outside
        self._say(found, examined)
        self._line = False

    def _say(self, found: list[str | Call], end: int) -> None:
        """The held text up to `end` belongs to the answer."""
        text, self._held = self._held[:end], self._held[end:]
        if not text:
            return
        self._line = text.endswith("\n")
        self._after_call = False
        if found and isinstance(found[-1], str):
            found[-1] += text
        else:
            found.append(text)


def _first(text: str, at: int) -> int:
    """The position of the first character that is not blank."""
    blanks = _BLANKS.match(text, at)
    assert blanks is not None
    return blanks.end()
