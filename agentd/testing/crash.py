"""Explores every result of a crash at this moment, with crashes at each operation of the recovery as well."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from agentd.testing.files import SimFiles, State

T = TypeVar("T")


class Violation(AssertionError):
    """A crash changes a result that it must not change."""


class CrashExplorer(Generic[T]):
    """Explores crashes; `recover` starts on a file system and returns what it finds, as a value that can be compared.

    It looks at up to `limit` states for each power cut, and up to `nested` for each one inside a recovery; if there are
    more, at a sample that depends only on `seed`. `states` and `nested_states` count the different states that were
    seen.
    """

    def __init__(self, recover: Callable[[SimFiles], T], *, seed: int = 0, limit: int = 300, nested: int = 8) -> None:
        self._recover = recover
        self._rng = random.Random(seed)
        self._limit = limit
        self._nested = nested
        self._known: dict[State, T] = {}
        self._explored: set[State] = set()
        self.nested_states = 0

    @property
    def states(self) -> int:
        return len(self._explored)

    def outcomes(self, files: SimFiles) -> Iterator[T]:
        """What recovery finds after each crash that is possible now; `Violation` if it contradicts itself."""
        for state in files.power_cuts(self._rng, self._limit):
            yield self._after_power_cut(state)
        yield from self._after_kill(files)

    def _after_power_cut(self, files: SimFiles) -> T:
        """The same, wherever the recovery is cut off by the next power cut, and after it has ended."""
        state = files.state()
        if state in self._explored:
            return self._known[state]
        self._explored.add(state)
        expected = self._of(files.killed())

        def cut() -> None:
            for nested in files.power_cuts(self._rng, self._nested):
                self._compare(nested, expected, state)

        self._crashed_at_each(files, cut)
        return expected

    def _after_kill(self, files: SimFiles) -> Iterator[T]:
        """The next process finds more than is durable; whatever it finds in the end, it must have made durable."""
        killed = files.killed()
        state = killed.state()
        found: list[T] = []

        def cut() -> None:
            found.extend(self._of(nested) for nested in killed.power_cuts(self._rng, self._nested))

        killed.before = cut
        outcome = self._recover(killed)
        killed.before = _nothing
        for nested in killed.power_cuts(self._rng, self._limit):
            self._compare(nested, outcome, state)
        yield from found
        yield outcome

    def _crashed_at_each(self, files: SimFiles, cut: Callable[[], None]) -> None:
        files.before = cut
        self._recover(files)
        files.before = _nothing
        cut()

    def _compare(self, nested: SimFiles, expected: T, state: State) -> None:
        self.nested_states += 1
        found = self._of(nested)
        if found != expected:
            raise Violation(f"recovery of {state!r} was cut off, and then found\n{found!r}\ninstead of\n{expected!r}")

    def _of(self, files: SimFiles) -> T:
        state = files.state()
        if state not in self._known:
            self._known[state] = self._recover(files)
        return self._known[state]


def _nothing() -> None:
    """A hook that does nothing."""
