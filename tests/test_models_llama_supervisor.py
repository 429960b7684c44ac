from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.errors import ModelError
from agentd.models.llama.supervisor import ModelState, Patience, Supervisor
from agentd.models.llama.wire import Load
from agentd.testing.gguf import chain, write_table_model

QUICK = Patience(pause=0.001)


class House:
    """A supervisor and the states that it told."""

    def __init__(self, path: Path, patience: Patience = QUICK) -> None:
        self.states: list[tuple[ModelState, str]] = []
        self.supervisor = Supervisor(
            "tiny",
            Load(path=str(path), context=512, threads=1, gpu_layers=0, sequences=2),
            patience=patience,
            on_state=lambda state, reason: self.states.append((state, reason)),
        )

    async def kill(self) -> None:
        """Kill the child, and wait until that is known."""
        process = await self.supervisor.child()
        os.kill(process.pid, signal.SIGKILL)
        await process.ended()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", "Hello"))
    return path


@pytest.fixture
async def house(path: Path) -> AsyncIterator[House]:
    house = House(path)
    yield house
    await house.supervisor.close()


async def test_nothing_is_started_before_it_is_wanted_and_then_once(house: House) -> None:
    assert house.supervisor.state is None
    one, other = await asyncio.gather(house.supervisor.child(), house.supervisor.child())
    assert one is other
    assert [state for state, _ in house.states] == ["loading", "ready"]


async def test_a_child_that_died_is_replaced_without_being_asked(house: House) -> None:
    first = await house.supervisor.child()
    await house.kill()
    second = await house.supervisor.child()
    assert second.pid != first.pid and second.alive
    assert [state for state, _ in house.states] == ["loading", "ready", "loading", "ready"]
    assert "SIGKILL" in house.states[2][1]


async def test_a_crash_loop_is_refused_with_the_reason_until_it_is_forgiven(house: House) -> None:
    for _ in range(3):
        await house.kill()
    for _ in range(2):
        with pytest.raises(
            ModelError, match=r"crashed 3 times within 60 s and is not started again for 300 s .*SIGKILL.*`agentd run`"
        ):
            await house.supervisor.child()
    assert house.supervisor.state == "failed"
    house.supervisor.forgive()
    assert (await house.supervisor.child()).alive


async def test_a_crash_loop_is_tried_again_after_a_rest(path: Path) -> None:
    house = House(path, Patience(pause=0.001, deaths=1, rest=0.0))
    await house.kill()
    with pytest.raises(ModelError, match="crashed 1 times"):
        await house.supervisor._promise()
    assert (await house.supervisor.child()).alive
    await house.supervisor.close()


async def test_a_file_that_appears_later_is_loaded_then(tmp_path: Path) -> None:
    path = tmp_path / "late.gguf"
    house = House(path)
    with pytest.raises(ModelError, match="no model file"):
        await house.supervisor.child()
    assert house.states[-1][0] == "failed"
    write_table_model(path, chain("\n", "Hello"))
    assert (await house.supervisor.child()).alive
    await house.supervisor.close()


async def test_a_load_that_takes_too_long_is_given_up(path: Path) -> None:
    house = House(path, Patience(load=0.0))
    with pytest.raises(ModelError, match="did not load within 0 s"):
        await house.supervisor.child()
    await house.supervisor.close()


async def test_closing_ends_the_child_and_whoever_waits_for_one(path: Path) -> None:
    house = House(path)
    process = await house.supervisor.child()
    await house.supervisor.close()
    assert not process.alive
    with pytest.raises(ModelError, match="was closed"):
        await house.supervisor.child()

    other = House(path)
    waiting = asyncio.create_task(other.supervisor.child(), name="waiting for a child")
    await asyncio.sleep(0)  # it waits
    await other.supervisor.close()
    with pytest.raises(ModelError, match="was closed"):
        await waiting
