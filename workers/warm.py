"""Has the model read what every prompt begins with, so that nobody who asks waits for that."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agentd.errors import AgentdError
from agentd.events import ModelStateChanged
from agentd.ports.bus import Bus
from agentd.ports.generation import ModelRequest
from agentd.ports.models import ChatModel, ToolUser, Warmable

log = logging.getLogger(__name__)


class Warmer:
    """Works each time that a model is ready, or ready for more: `constant` is what prompts begin with, with tools or
    without.
    """

    def __init__(self, bus: Bus, model: ChatModel, constant: Callable[[bool], ModelRequest]) -> None:
        self._model = model
        self._constant = constant
        self._events = bus.subscribe(ModelStateChanged, name="warm beginnings")

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async for event in self._events:
                if isinstance(event, ModelStateChanged) and event.state == "ready":
                    await self._warm()
        finally:
            self._events.close()

    async def _warm(self) -> None:
        model = self._model
        if not isinstance(model, Warmable):
            return
        offers = isinstance(model, ToolUser) and model.tools
        try:
            tokens = await model.warm(self._constant(offers))
        except AgentdError as error:
            log.warning("%s did not read ahead what prompts begin with: %s", model.name, error)
        else:
            log.debug("%s has read ahead %d tokens that prompts begin with", model.name, tokens)
