"""The steps of one turn: each is in the turn's log before anybody is told of it, and a restart goes on from them."""

from __future__ import annotations

from agentd.events import StepEvent
from agentd.ports.bus import Bus
from agentd.ports.work import Progress
from agentd.turns.state import TurnState, reduce


class Journal:
    """What one turn has done is in `state`. A step that changes nothing in it is only told."""

    def __init__(self, progress: Progress, bus: Bus, state: TurnState) -> None:
        self._progress = progress
        self._bus = bus
        self._unwritten: list[StepEvent] = []
        self.state = state

    async def note(self, step: StepEvent, *, durable: bool) -> None:
        """Write the steps that are not written yet, this one last, and tell it. `StateError` if the disk does not take
        them.

        A step that is not `durable` survives the end of the process, but it is lost if the power fails before a durable
        step follows. It must be possible to make such a step again.
        """
        step = self._bus.stamped(step)
        if self._take(step):
            await self._progress.stepped(step.turn_id, tuple(self._unwritten), durable=durable)
            self._unwritten = []
        await self._bus.publish(step)

    async def tell(self, step: StepEvent) -> None:
        """Tell it; what a restart needs of it is written with the next step that is noted."""
        step = self._bus.stamped(step)
        self._take(step)
        await self._bus.publish(step)

    def keep(self, step: StepEvent) -> None:
        """Remember a step that was told before; it is written with the next step that is noted."""
        self._take(self._bus.stamped(step))

    def _take(self, step: StepEvent) -> bool:
        after = reduce(self.state, step)
        changed = after is not self.state
        if changed:
            self.state = after
            self._unwritten.append(step)
        return changed
