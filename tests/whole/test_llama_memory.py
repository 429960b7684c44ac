"""A thousand turns leave no more behind than two hundred, in the daemon's process and in the model's."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from pathlib import Path

from agentd.models.llama.model import LlamaModel
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.ports.generation import Message, ModelRequest, Sampling, TextDelta, TextPart
from agentd.testing.gguf import write_random_model

TOGETHER, SESSIONS, TOKENS = 8, 40, 12
SPILL_BYTES = 1 << 20
GROWTH_MB = 4.0
"""Several times what was seen; one kept message, sampler or state for each of the 800 turns between is more."""


def megabytes(pid: int) -> float:
    """Of memory that a process really has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def turn(model: LlamaModel, number: int) -> None:
    """One of a session whose history is now longer and now shorter, with a seed and a stop string."""
    text = f"Session {number % SESSIONS} asks. " * 8 + "More. " * (number // SESSIONS % 5)
    request = ModelRequest(
        messages=(Message(role="user", parts=(TextPart(text=text),)),),
        session_id=str(number % SESSIONS),
        turn_id=str(number),
        sampling=Sampling(temperature=0.8, repeat_penalty=1.1, max_tokens=TOKENS, seed=number, stop=("never",)),
    )
    said = "".join([delta.text async for delta in model.stream(request) if isinstance(delta, TextDelta)])
    assert said


async def turns(model: LlamaModel, first: int, last: int) -> None:
    for start in range(first, last, TOGETHER):
        await asyncio.gather(*(turn(model, number) for number in range(start, min(start + TOGETHER, last))))


async def test_a_thousand_turns_take_no_more_memory_than_two_hundred(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    settings = EngineSettings(threads=1, context=4096, sequences=TOGETHER, spill_bytes=SPILL_BYTES)
    async with LlamaModel(ModelFile(path=path), settings) as model:
        child = await model.start()
        await turns(model, 0, 200)
        gc.collect()
        ours, theirs = megabytes(os.getpid()), megabytes(child)
        await turns(model, 200, 1000)
        gc.collect()
        grown = (megabytes(os.getpid()) - ours, megabytes(child) - theirs)
        assert max(grown) < GROWTH_MB, f"{grown} MB more than the {ours:.1f} and {theirs:.1f} MB after 200 turns"
        assert await model.start() == child, "it is still the same process"
