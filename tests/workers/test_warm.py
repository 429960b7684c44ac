"""What every prompt begins with is read ahead each time that the model is ready."""

from __future__ import annotations

import asyncio

from agentd.bus.bus import EventBus
from agentd.errors import ModelError
from agentd.events import ModelStateChanged
from agentd.ports.generation import Message, ModelRequest, TextPart
from agentd.testing.model import ScriptedModel
from agentd.testing.pending import MemoryPending
from workers.warm import Warmer


def constant(tools: bool) -> ModelRequest:
    text = "with tools" if tools else "without"
    return ModelRequest(messages=(Message(role="system", parts=(TextPart(text=text),)),), session_id="", turn_id="")


class Warm(ScriptedModel):
    def __init__(self, *faults: Exception) -> None:
        super().__init__()
        self.read: asyncio.Queue[ModelRequest] = asyncio.Queue()
        self.faults = list(faults)

    async def warm(self, request: ModelRequest) -> int:
        self.read.put_nowait(request)
        if self.faults:
            raise self.faults.pop()
        return 7


async def test_it_reads_when_the_model_is_ready_and_again_when_it_may_use_tools() -> None:
    bus, model = EventBus(MemoryPending(), []), Warm(ModelError("it crashed"))
    task = asyncio.create_task(Warmer(bus, model, constant).run(), name="warmer")
    try:
        async with asyncio.timeout(60):
            for state in ("loading", "ready"):
                await bus.publish(ModelStateChanged(model="m", state=state))
            assert await model.read.get() == constant(False)
            model.tools = True
            await bus.publish(ModelStateChanged(model="m", state="ready"))
            assert await model.read.get() == constant(True), "an error before does not end it"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
