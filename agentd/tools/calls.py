"""Tool calls that stream in pieces become whole calls, each with an id of its own in the turn."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from agentd.evidence.call_forms import defines_tool
from agentd.ports.generation import ToolCallDelta, ToolCallPart
from agentd.text.characters import whole
from agentd.text.plain import plain_line

log = logging.getLogger(__name__)

FAILED = "Error: "
"""A result that begins so says why there is none."""
LONGEST_NAME = 100
LONGEST_ARGUMENTS = 65_536
"""Characters; more is cut off, and then is no JSON that anybody could take."""


def foreign(calls: Sequence[ToolCallPart], offered: Collection[str]) -> bool:
    """Whether a model that calls these means none of the tools that it was offered, or only repeats how they are told.

    Then it is better asked again without tools than told what is wrong.
    """
    return bool(calls) and all(call.tool not in offered or defines_tool(call.arguments) for call in calls)


class _Call:
    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.length = 0

    def add(self, delta: ToolCallDelta) -> None:
        self.call_id = self.call_id or delta.call_id
        self.name = self.name or delta.name
        piece = delta.arguments[: LONGEST_ARGUMENTS - self.length]
        self.arguments.append(piece)
        self.length += len(piece)


class CallAssembler:
    """Feed it the pieces of one turn; `take` gives the calls that are whole at the end of each stream.

    `taken` are the ids of calls that the turn has made before.
    """

    def __init__(self, *, most: int, taken: Iterable[str] = ()) -> None:
        self._most = most
        self._open: dict[int, _Call] = {}
        self._ids: set[str] = set(taken)
        self._dropping = False

    def add(self, delta: ToolCallDelta) -> None:
        """A piece of any call; calls beyond the `most` of one stream are dropped."""
        if delta.index not in self._open and len(self._open) == self._most:
            if not self._dropping:
                log.warning("the model makes more than %d calls at once; dropping the others", self._most)
            self._dropping = True
            return
        self._open.setdefault(delta.index, _Call()).add(delta)

    def clear(self) -> None:
        """Forget the calls of the stream that runs: it starts again."""
        self._open.clear()
        self._dropping = False

    def take(self) -> tuple[ToolCallPart, ...]:
        """The calls of the stream that ended, in the order of their indexes."""
        calls = [self._open[index] for index in sorted(self._open)]
        self.clear()
        return tuple(
            ToolCallPart(
                call_id=self._own_id(call.call_id),
                tool=plain_line(call.name, LONGEST_NAME),
                arguments=whole("".join(call.arguments)),
            )
            for call in calls
        )

    def _own_id(self, given: str) -> str:
        """The model's id if it gave a new one; some models count from 0 in every stream, some give none."""
        own = plain_line(given, LONGEST_NAME)
        n = len(self._ids)
        while not own or own in self._ids:
            n += 1
            own = f"call-{n}"
        self._ids.add(own)
        return own
