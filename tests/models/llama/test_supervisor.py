from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agentd.delivery.backoff import Backoff
from agentd.errors import ModelError
from agentd.models.llama import standing
from agentd.models.llama.checks import Checks
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.standing import Standing
from agentd.models.llama.supervisor import ModelState, Patience, Supervisor
from agentd.models.llama.wire import Load
from agentd.testing.gguf import chain, write_table_model
from tests import native_faults
from tests.model_house import tried

QUICK = Patience(restart=Backoff(first=0.001, longest=1.0))
SMALL = EngineSettings(context=512, threads=1, gpu_layers=0, sequences=2)


class House:
    """A supervisor and the states that it reported."""

    def __init__(self, path: Path, patience: Patience = QUICK, *, checks: Path | None = None, way: str = "") -> None:
        self.states: list[tuple[ModelState, str]] = []
        self.supervisor = Supervisor(
            "tiny",
            Load(file=ModelFile(path=path, checks=checks, way=way), settings=SMALL),
            patience=patience,
            on_state=lambda state, reason: self.states.append((state, reason)),
        )

    async def kill(self) -> None:
        """Kill the child, and wait until that is known."""
        process = await self.supervisor.child()
        os.kill(process.pid, signal.SIGKILL)
        await process.ended()


@pytest.fixture
def checks(tmp_path: Path) -> Iterator[Path]:
    with tried(tmp_path) as path:
        yield path


@pytest.fixture
def breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Make the model crash like this in every way that uses this part; the trials do not see it."""

    def broken(part: str, how: str) -> None:
        for name, value in native_faults.broken(tmp_path / "faults", part, how, where="model").items():
            monkeypatch.setenv(name, value)

    return broken


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


async def test_the_log_says_once_that_the_model_is_ready_and_after_how_long(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agentd.models.llama.supervisor")
    await house.supervisor.child()
    [record] = caplog.records
    assert re.fullmatch(r"tiny \D+ \d+\.\d s", record.getMessage())


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
        with pytest.raises(ModelError, match=r" 3 times .* 60 s .* 300 s .*SIGKILL.*`agentd run`"):
            await house.supervisor.child()
    assert house.supervisor.state == "failed"
    house.supervisor.forgive()
    assert (await house.supervisor.child()).alive


async def test_a_crash_loop_is_tried_again_after_a_rest(path: Path) -> None:
    house = House(path, Patience(restart=Backoff(first=0.001, longest=1.0), deaths=1, rest=0.0))
    await house.kill()
    with pytest.raises(ModelError, match="crashed 1 times"):
        await house.supervisor._promise()
    assert (await house.supervisor.child()).alive
    await house.supervisor.close()


async def test_a_model_that_crashes_before_its_first_word_is_run_in_the_plainest_way_from_then_on(
    path: Path, checks: Path, breaks: Callable[[str, str], None]
) -> None:
    breaks("repack", "SIGSEGV")
    for starts in (["loading", "loading", "ready"], ["loading", "ready"]):
        house = House(path, checks=checks)
        await house.supervisor.child()
        assert [state for state, _ in house.states] == starts
        assert house.supervisor.loaded is not None and house.supervisor.loaded.way == "plain"
        assert house.states[-1][1] == house.supervisor.loaded.switched_off
        assert all(word in house.states[-1][1] for word in ("flash attention", "AMX", "SIGSEGV"))
        house.supervisor.prove()
        await house.supervisor.close()


async def test_a_model_that_crashes_in_the_plainest_way_too_is_set_aside_for_every_process(
    path: Path, checks: Path, breaks: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    breaks("all", "SIGSEGV")
    for deaths in (2, 0):
        caplog.clear()
        house = House(path, checks=checks)
        for _ in range(2):
            with pytest.raises(
                ModelError,
                match=r"^tiny crashed .*\(.*SIGSEGV\).* set aside; .*`agentd model check /.*tiny.gguf`",
            ):
                await house.supervisor.child()
        assert caplog.text.count("gone before its first") == deaths
        assert house.states[-1][0] == "failed"
        await house.supervisor.close()


async def test_a_file_that_was_set_aside_is_tried_again_when_it_is_another_one_or_is_to_be_checked(
    path: Path, checks: Path
) -> None:
    standing.write(Checks(checks), path, Standing(aside="It crashes."))
    house = House(path, checks=checks)
    with pytest.raises(ModelError, match="It crashes"):
        await house.supervisor.child()
    Checks(checks).forget_file(path)
    assert (await house.supervisor.child()).alive
    await house.supervisor.close()
    standing.write(Checks(checks), path, Standing(aside="It crashes."))
    write_table_model(path, chain("\n", "Other"))
    house = House(path, checks=checks)
    assert (await house.supervisor.child()).alive
    await house.supervisor.close()


async def test_a_model_that_has_answered_before_is_restarted_after_a_crash_and_not_run_in_another_way(
    path: Path, checks: Path, breaks: Callable[[str, str], None]
) -> None:
    standing.write(Checks(checks), path, Standing(proved=True))
    breaks("repack", "SIGSEGV")
    house = House(path, checks=checks)
    with pytest.raises(ModelError, match=r"crashed 3 times within 60 s .*SIGSEGV"):
        await house.supervisor.child()
    assert standing.read(Checks(checks), path) == Standing(proved=True)
    await house.supervisor.close()


async def test_what_is_asked_for_in_one_way_is_tried_in_no_other(
    path: Path, checks: Path, breaks: Callable[[str, str], None]
) -> None:
    breaks("flash", "SIGABRT")
    house = House(path, checks=checks, way="flash")
    with pytest.raises(ModelError, match=r"^tiny crashed .*SIGABRT\.$"):
        await house.supervisor.child()
    assert standing.read(Checks(checks), path) == Standing()
    await house.supervisor.close()


async def test_a_build_for_another_processor_is_told_with_the_command_that_builds_it(
    path: Path, checks: Path, breaks: Callable[[str, str], None]
) -> None:
    breaks("all", "SIGILL")
    house = House(path, checks=checks)
    with pytest.raises(ModelError, match=r"SIGILL: .*another processor.*(-m pip|make -C)"):
        await house.supervisor.child()
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
    with pytest.raises(ModelError, match=r"\bload .* 0 s"):
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
