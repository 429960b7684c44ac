"""`python -m tests.dying_daemon run ...`: the real daemon with a model that counts, dying where it is told.

The environment says how: DYING_COUNT names a file that gets a line for each inference; DYING_AT is "turn" (the model
never goes on after its first word) or "answer" (killed when the answer would be written, after the transaction).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator

from agentd.bus.bus import EventBus
from agentd.cli import main
from agentd.daemon import floors
from agentd.events import Event, OutboundEvent
from agentd.ports.generation import Delta, Finish, ModelRequest, TextDelta
from agentd.testing.model import question_of


class CountingModel:
    """Repeats the question and writes down that it did."""

    name = "counting"

    def __init__(self, documents: object, **_: object) -> None:
        pass

    def standing_in(self) -> CountingModel:
        return self

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        _count(request)
        yield TextDelta(text="You said: ")
        if os.environ.get("DYING_AT") == "turn":
            await asyncio.get_running_loop().create_future()
        yield TextDelta(text=question_of(request))
        yield Finish(reason="stop")

    async def count_tokens(self, request: ModelRequest) -> int:
        return 1


def _count(request: ModelRequest) -> None:
    with open(os.environ["DYING_COUNT"], "a") as count:
        count.write(f"{request.turn_id}\n")


class DyingBus(EventBus):
    """Kills the process where an answer would be written."""

    async def publish(self, event: Event) -> None:
        if isinstance(event, OutboundEvent) and os.environ.get("DYING_AT") == "answer":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().publish(event)


if __name__ == "__main__":
    vars(floors).update(ExtractiveModel=CountingModel, EventBus=DyingBus)
    sys.exit(main(sys.argv[1:]))
