"""What a start must find: kept outside of the process that dies, from what that process said before it died.

A process tells every move twice, before it begins it and after it returned. What returned is a promise; what was only
begun may have happened or not, but as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Where = Literal["pending", "dead", "row"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One event as a start finds it, with what its log must not forget; `parts` is a digest of the rendered split."""

    where: Where
    digest: str
    starts: int = 0
    sending: bool = False
    parts: str = ""
    parts_done: int = 0
    attempts: int = 0

    def matches(self, found: Item) -> bool:
        """Of a dead letter only its place and bytes can be seen."""
        if self.where == "dead" == found.where:
            return self.digest == found.digest
        return self == found


LINES = ("started", "sending", "part", "defer")
"""The moves that add a line to a log."""

State = Item | None
Found = Mapping[str, Item]
"""What a start found, by the id of the turn (a notice's own id, `row ID` for what the database says of a turn)."""


@dataclass(frozen=True, slots=True)
class _Move:
    """The states that it may leave, all its keys together: as before, halfway (or nothing), as after."""

    op: str
    synced: bool
    outcomes: tuple[dict[str, frozenset[State]], ...]
    after: dict[str, frozenset[State]]


class World:
    """The states that are possible for each key; more than one only where a line need not survive a crash.

    A move that was refused may have happened or not, as one that was cut off; with `refusals_are_clean` it has not.

    A line of a log may be on the disk beyond the end of its file, if the power was cut before the new size was stored.
    The next line that is not synced may store a size that covers it again, and not its own bytes. So a line that was
    begun and not found may be found later, until one that is synced takes its place.
    """

    def __init__(self, *, refusals_are_clean: bool = False) -> None:
        self._clean = refusals_are_clean
        self._possible: dict[str, frozenset[State]] = {}
        self._moves: dict[int, _Move] = {}
        self._beyond_the_end: dict[str, frozenset[State]] = {}
        self.promises = 0

    def told(self, line: Mapping[str, Any]) -> None:
        """The process says that a move begins or has returned."""
        if "done" in line:
            move = self._moves.pop(line["done"])
            self._possible.update(move.after)
            if move.synced:
                for key in move.after:
                    self._beyond_the_end.pop(key, None)
            self.promises += 1
        elif "refused" in line:
            if self._clean:
                self._undo(self._moves.pop(line["refused"]))
        else:
            self._settle(line)
            self._moves[line["begin"]] = self._move(line)

    def _settle(self, line: Mapping[str, Any]) -> None:
        """A move that was refused is followed by one of the same turn: from now on either may be what it left."""
        keys = {*line["keys"], line.get("notice")}
        for number, move in list(self._moves.items()):
            if keys & move.after.keys():
                del self._moves[number]
                for outcome in move.outcomes:
                    for key, states in outcome.items():
                        self._possible[key] = self._of(key) | states

    def _undo(self, move: _Move) -> None:
        """As it was before; only a notice may be there already, for it is written first."""
        before, halfway = move.outcomes[0], move.outcomes[-1]
        self._possible.update(before)
        if len(move.outcomes) == 3:
            self._possible.update({key: before[key] | states for key, states in halfway.items()})

    def _move(self, line: Mapping[str, Any]) -> _Move:
        changes = dict(self._changes(line))
        before = {key: self._of(key) for key in changes}
        after = changes
        synced = line["op"] != "defer" or line["uncertain"]
        if not synced:
            (key,) = line["keys"]
            changes[key] |= self._beyond_the_end.get(key, frozenset())
            after = {key: before[key] | changes[key]}
        outcomes = [before, changes]
        if notice := line.get("notice"):
            outcomes.append({**before, notice: changes[notice]})
        return _Move(line["op"], synced, tuple(outcomes), after)

    def _of(self, key: str) -> frozenset[State]:
        return self._possible.get(key, frozenset([None]))

    def _changes(self, line: Mapping[str, Any]) -> Iterator[tuple[str, frozenset[State]]]:
        for key in line["keys"]:
            yield key, frozenset(_after(line, key, state) for state in self._of(key))
        if notice := line.get("notice"):
            yield notice, frozenset([Item(where="pending", digest=line["notice_digest"])])

    def check(self, found: Found) -> list[str]:
        """What contradicts the promises, as sentences; from now on what was found is what there is."""
        wrong = self.contradictions(found)
        self._adopt(found)
        return wrong

    def contradictions(self, found: Found) -> list[str]:
        """What contradicts the promises, as sentences."""
        wrong = [
            f"{key} was promised as one of {set(self._of(key))}, and found as {found.get(key)}"
            for key in sorted(self._still())
            if not _fits(self._of(key), found.get(key))
        ]
        for move in self._moves.values():
            fitting = [o for o in move.outcomes if all(_fits(states, found.get(key)) for key, states in o.items())]
            if not fitting:
                seen = {key: found.get(key) for key in move.after}
                wrong.append(f"a move that was cut off left {seen}, and not one of {list(move.outcomes)}")
        known = self._possible.keys() | {key for move in self._moves.values() for key in move.after}
        return wrong + [f"{key} is there and was never promised: {found[key]}" for key in found.keys() - known]

    def lost(self, found: Found) -> tuple[int, int]:
        """How many of the events that must be there are not there as they were written, and how many must be there."""
        owed = [key for key in self._still() if None not in self._of(key)]
        return sum(not _fits(self._of(key), found.get(key)) for key in owed), len(owed)

    def _still(self) -> set[str]:
        """The keys that no unfinished move is about."""
        return self._possible.keys() - {key for move in self._moves.values() for key in move.after}

    def _adopt(self, found: Found) -> None:
        candidates = {key: set(states) for key, states in self._possible.items()}
        for move in self._moves.values():
            for outcome in move.outcomes:
                for key, states in outcome.items():
                    candidates.setdefault(key, set()).update(states)
            if move.op in LINES:
                for key, states in move.outcomes[1].items():
                    self._beyond_the_end[key] = self._beyond_the_end.get(key, frozenset()) | states
        self._moves.clear()
        self._possible.clear()
        for key, item in found.items():
            fitting = {s for s in candidates.get(key, ()) if s is not None and s.matches(item)}
            self._possible[key] = frozenset(fitting or {item})


def _fits(states: Iterable[State], found: State) -> bool:
    return any(state is found is None or (state and found and state.matches(found)) for state in states)


def _after(line: Mapping[str, Any], key: str, state: State) -> State:
    """One event after a move."""
    op = line["op"]
    if op in ("accept", "finish"):
        return Item(where="row" if op == "finish" else "pending", digest=line["digest"])
    if op == "answer":
        return Item(where="pending", digest=line["digest"]) if key == line["keys"][0] else None
    if op in ("ack", "drop") or state is None:
        return None
    match op:
        case "started":
            return replace(state, starts=state.starts + 1)
        case "sending":
            return replace(state, sending=True, parts=state.parts or line["parts"])
        case "part":
            return replace(state, parts_done=max(state.parts_done, line["n"] + 1))
        case "defer":
            return replace(state, sending=line["uncertain"], attempts=line["attempt"])
        case "bury":
            return replace(state, where="dead")
        case "retry":
            return replace(state, where="pending", starts=0, attempts=0)
    raise ValueError(f"unknown move {op}")
