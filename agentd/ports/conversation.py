"""What a session does at the moment, as a record; `agentd.turns.conversation` changes it."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.events import ToolCallApproved, ToolCallDenied, TurnWaiting
from agentd.records import OWNER, Principal

Decision = ToolCallApproved | ToolCallDenied
"""What somebody decided on a call that a turn waits for."""


class Said:
    """An immutable text that grows at its end at the price of what is added, however long it is.

    Texts that grew out of each other share their pieces; each knows how many of them are its own.
    """

    __slots__ = ("_count", "_length", "_pieces")

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self._count = 1
        self._length = len(text)

    def put(self, n: int, text: str) -> Said:
        """The first `n` characters, then `text`."""
        if not n or n != self._length or self._count != len(self._pieces):
            return Said(str(self)[:n] + text)
        grown = Said()
        grown._pieces, grown._count, grown._length = self._pieces, self._count + 1, n + len(text)
        self._pieces.append(text)
        return grown

    def __str__(self) -> str:
        return "".join(self._pieces[: self._count])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


NOTHING = Said()


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """What a session does now: the turn that runs, what it has said in this attempt, and the turns that wait.

    `placed` is the first of those that wait once it has its place; `stopping` says that it, or the one that runs, was
    asked to stop. `wait` is the call that the running turn waits for, `decision` the first one on that call.
    """

    running: str = ""
    placed: str = ""
    attempt: int = 0
    said: Said = NOTHING
    stopping: bool = False
    wait: TurnWaiting | None = None
    decision: Decision | None = None
    waiting: tuple[str, ...] = ()
    whose: Principal = OWNER
    """Who asked last; the owner if nobody has asked since the start."""

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiting


IDLE = Conversation()
